"""Whether what the database, the store and MLflow hold of a dataset is what was published."""

from astrid_training.verify.dataset import verify_dataset
from astrid_training.verify.findings import Finding, Places
from astrid_training.verify.references import verify_references
from astrid_training.verify.repair import Repair, repair_dataset

__all__ = [
    "Finding",
    "Places",
    "Repair",
    "repair_dataset",
    "verify_dataset",
    "verify_references",
]
