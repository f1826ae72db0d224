"""Turns AstrID's human-validated detections into immutable, leak-free training sets."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astrid_training.dataset import (
        AstrIDTrainingDataset,
        TrainingSplits,
        load_training_dataset,
    )

__all__ = ["AstrIDTrainingDataset", "TrainingSplits", "load_training_dataset"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what the names above are
    """Import torch and the loader when one of their names is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from astrid_training import dataset

    return getattr(dataset, name)
