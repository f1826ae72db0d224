"""Turns AstrID's human-validated detections into immutable, leak-free training sets."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astrid_training.augment import Augmentation, GaussianNoise
    from astrid_training.dataset import (
        AstrIDTrainingDataset,
        TrainingSplits,
        load_training_dataset,
    )
    from astrid_training.samplers import BalancedSampler, EpochSampler
    from astrid_training.streaming import stream_training_dataset

__all__ = [
    "AstrIDTrainingDataset",
    "Augmentation",
    "BalancedSampler",
    "EpochSampler",
    "GaussianNoise",
    "TrainingSplits",
    "load_training_dataset",
    "stream_training_dataset",
]

_MODULES = {
    "Augmentation": "augment",
    "BalancedSampler": "samplers",
    "EpochSampler": "samplers",
    "GaussianNoise": "augment",
    "stream_training_dataset": "streaming",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what the names above are
    """Import torch and the loader when one of their names is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'dataset')}"), name)
