"""From a network's pixels to whole detections: real or not, and how often that is right."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from astrid_training.dataset import AstrIDTrainingDataset

__all__ = ["object_metrics", "score_objects"]


def score_objects(
    dataset: AstrIDTrainingDataset, probability: Tensor, radius_px: float
) -> NDArray[np.float32]:
    """Return each sample's score: the largest probability within a distance of its target.

    Args:
        dataset: the samples, in the order of `probability`.
        probability: (sample, 1, y, x), 0 to 1.
        radius_px: of the disk around the target's stored position, pixels.
    """
    pixels = probability[:, 0].numpy()
    x, y = (
        dataset.table[axis].to_numpy()[:, None, None] - dataset.spec.margin for axis in ("x", "y")
    )
    rows, columns = np.indices(pixels.shape[1:])
    near = (columns - x) ** 2 + (rows - y) ** 2 <= radius_px**2
    scores: NDArray[np.float32] = np.where(near, pixels, 0).max(axis=(1, 2))
    return scores


def object_metrics(
    labels: NDArray[np.int64], scores: NDArray[np.float32], threshold: float
) -> dict[str, float]:
    """Return precision, recall and f1 of `scores >= threshold`; one that is undefined is absent.

    Args:
        labels: (sample,) 1 real, 0 bogus.
        scores: (sample,) 0 to 1.
        threshold: from which a sample counts as real.
    """
    predicted, real = scores >= threshold, labels == 1
    hits = int((predicted & real).sum())
    n_predicted, n_real = int(predicted.sum()), int(real.sum())
    ratios = {
        "precision": (hits, n_predicted),
        "recall": (hits, n_real),
        "f1": (2 * hits, n_predicted + n_real),
    }
    return {name: part / whole for name, (part, whole) in ratios.items() if whole}
