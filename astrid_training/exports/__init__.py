"""Datasets as files for people and programs that know nothing of this package."""

from astrid_training.exports.export import Exported, Wanted, export_dataset
from astrid_training.exports.sky import SkyReader

__all__ = ["Exported", "SkyReader", "Wanted", "export_dataset"]
