"""The notebook's function with the items that AstrID's own training notebook takes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flows import load_real_training_data as load_samples

if TYPE_CHECKING:
    from astrid_training.pairs import Pairs

__all__ = ["load_real_training_data"]


def load_real_training_data(
    dataset_id: str | None = None, collection_params: Mapping[str, Any] | None = None
) -> "tuple[Pairs, Pairs, Pairs]":
    """Return (train, val, test) as pairs of image and target; see `flows.load_real_training_data`."""
    from astrid_training.pairs import Pairs  # brings torch

    train, val, test = load_samples(dataset_id, collection_params)
    return Pairs(train), Pairs(val), Pairs(test)
