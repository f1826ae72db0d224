"""Train the U-Net on a dataset's splits, and keep what it learned as a state without pickles."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, RandomSampler

from astrid_training.dataset import AstrIDTrainingDataset, Batch, TrainingSplits
from astrid_training.params import Channel
from astrid_training.processor import check_parity
from astrid_training.processors import Recipe, recipe_of
from astrid_training.scoring import object_metrics, score_objects
from astrid_training.unet import UNet

__all__ = [
    "TrainingParams",
    "TrainingResult",
    "load_unet",
    "segmentation_loss",
    "train_unet",
]

IGNORE = 255
STATE, METADATA = "unet.pt", "unet.json"
FORMAT_VERSION = 1


class TrainingParams(BaseModel):
    """How the U-Net is trained. The defaults suit two CPU cores."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Training")

    steps: int = Field(200, ge=1, le=1_000_000, description="Optimiser steps.")
    batch_size: int = Field(16, ge=2, le=4096, description="Samples per step.")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="AdamW's learning rate.")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="AdamW's weight decay.")
    dice_share: float = Field(
        0.5, ge=0, le=1, description="Share of the Dice loss; the rest is binary cross-entropy."
    )
    channels: tuple[Channel, ...] = Field(
        ("difference",), min_length=1, description="Images the network sees, in this order."
    )
    width: int = Field(8, ge=1, le=256, description="Filters of the first level; AstrID uses 64.")
    threshold: float = Field(
        0.5, gt=0, lt=1, description="A detection counts as real from this probability on."
    )
    radius_px: float = Field(
        3.0, gt=0, description="The probability is the largest within this distance of the target."
    )
    threads: int = Field(
        1,
        ge=1,
        le=1024,
        description="CPU threads. Weights repeat to the bit for equal seed and threads.",
    )
    seed: int = Field(
        0, ge=0, lt=2**63, description="Of the weights' start and the samples' order."
    )


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a training left."""

    metrics: dict[str, float]
    """train_loss (mean of the last tenth of the steps), and for val and test `<split>_loss`,
    `<split>_precision`, `<split>_recall`, `<split>_f1` of whole detections; an undefined ratio
    (nothing predicted real, nothing real) is absent."""
    loss_history: list[float]
    """Loss of each step."""
    state_path: Path
    """The weights, a torch file that loads with weights_only."""
    metadata_path: Path
    """JSON: what the network is, what it was trained on, how, and its metrics."""


def train_unet(
    splits: TrainingSplits,
    params: TrainingParams,
    checkpoint_dir: Path,
    progress: Callable[[int, float], None] | None = None,
) -> TrainingResult:
    """Return a U-Net trained on `splits.train` and measured on the other two.

    Equal splits, parameters and machine give equal weights; the caller's random state is left as
    it was.

    Args:
        splits: of one dataset, loaded with `params.channels`.
        params: how to train.
        checkpoint_dir: where state and metadata are written; made if it is not there.
        progress: called after each step with its number, from 1, and its loss.

    Raises:
        ValueError: if there is nothing to train on, or the channels are not those of `params`.
        ParityError: if this installation would prepare the dataset's pixels in another way.
        FloatingPointError: if the loss is no longer finite.
    """
    _check(splits, params)
    with _deterministic(params.seed, params.threads):
        model = UNet(len(params.channels), params.width)
        history = _optimise(model, splits.train, params, progress)
        measured = {
            name: _measure(model, getattr(splits, name), params) for name in ("val", "test")
        }
    tail = history[-max(1, len(history) // 10) :]
    metrics = {"train_loss": sum(tail) / len(tail)}
    for split, values in measured.items():
        metrics |= {f"{split}_{metric}": value for metric, value in values.items()}
    state, metadata = _save(model, splits, params, metrics, checkpoint_dir)
    return TrainingResult(metrics, history, state, metadata)


def load_unet(folder: Path, spec_fingerprint: str | None = None) -> UNet:
    """Return the network that `train_unet` left in `folder`, ready to predict.

    Args:
        folder: the checkpoint_dir of the training.
        spec_fingerprint: how the pixels it shall see are prepared; None: by this installation, as
            the dataset's were.

    Raises:
        FileNotFoundError: if there is none.
        ParityError: if it was trained on pixels prepared in another way.
        ProcessorError: if the class that prepared them cannot be imported here.
    """
    metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    trained_on = Recipe.stored(
        metadata.get("processor"), metadata["preprocess_spec"], metadata["spec_fingerprint"]
    )
    if spec_fingerprint is None:
        trained_on.check()
    else:
        check_parity(trained_on.fingerprint, spec_fingerprint)
    model = UNet(len(metadata["params"]["channels"]), metadata["params"]["width"])
    model.load_state_dict(torch.load(folder / STATE, weights_only=True, map_location="cpu"))
    return model.eval()


def segmentation_loss(logits: Tensor, mask: Tensor, weight: Tensor, dice_share: float) -> Tensor:
    """Return the weighted mean of cross-entropy and soft Dice over the samples; 255 counts nowhere.

    Args:
        logits: (sample, 1, y, x) float32.
        mask: (sample, 1, y, x) uint8: 0 background, 1 target, 255 ignore.
        weight: (sample,) float32.
        dice_share: 0 to 1.
    """
    axes = (1, 2, 3)
    valid = (mask != IGNORE).float()
    target = (mask == 1).float()
    entropy = binary_cross_entropy_with_logits(logits, target, reduction="none") * valid
    probability = logits.sigmoid() * valid
    overlap = 2 * (probability * target).sum(axes) + 1  # + 1: an empty mask has a Dice, too
    dice = 1 - overlap / (probability.sum(axes) + target.sum(axes) + 1)
    mean_entropy = entropy.sum(axes) / valid.sum(axes).clamp(min=1)
    losses = (1 - dice_share) * mean_entropy + dice_share * dice
    return (losses * weight).sum() / weight.sum().clamp(min=1e-6)


def _check(splits: TrainingSplits, params: TrainingParams) -> None:
    for split in splits:
        recipe_of(split.record).check()
    if splits.train.channels != params.channels:
        raise ValueError(
            f"the dataset was loaded with channels {', '.join(splits.train.channels)}, training "
            f"asks for {', '.join(params.channels)}; load it with channels={params.channels}"
        )
    if len(splits.train) == 0:
        raise ValueError(
            f"{splits.train!r}: nothing to train on; collect more validated detections"
        )


@contextmanager
def _deterministic(seed: int, threads: int) -> Iterator[None]:
    """Give the block its own random state and threads, and flush denormals (threefold slower)."""
    before = torch.are_deterministic_algorithms_enabled()
    threads_before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)  # noqa: FBT003 - torch takes it by position only
        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)
        try:
            yield
        finally:
            torch.set_flush_denormal(False)  # its default; torch cannot be asked
            torch.set_num_threads(threads_before)
            torch.use_deterministic_algorithms(before)


def _optimise(
    model: UNet,
    train: AstrIDTrainingDataset,
    params: TrainingParams,
    progress: Callable[[int, float], None] | None,
) -> list[float]:
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay
    )
    history = []
    model.train()
    for step, batch in enumerate(_batches(train, params), start=1):
        loss = segmentation_loss(model(batch.image), batch.mask, batch.weight, params.dice_share)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own annotation is missing
        optimiser.step()
        history.append(loss.item())
        if not loss.isfinite():
            raise FloatingPointError(
                f"the loss is {history[-1]} at step {step}; lower learning_rate "
                f"(now {params.learning_rate:g})"
            )
        if progress is not None:
            progress(step, history[-1])
    return history


def _batches(train: AstrIDTrainingDataset, params: TrainingParams) -> Iterator[Batch]:
    """Return one batch a step: the samples in shuffled order, again and again."""
    order = torch.Generator().manual_seed(params.seed)
    drawn = params.steps * params.batch_size
    sampler = RandomSampler(train, num_samples=drawn, generator=order)
    return islice(DataLoader(train, params.batch_size, sampler=sampler), params.steps)


@torch.no_grad()
def _measure(
    model: UNet, dataset: AstrIDTrainingDataset, params: TrainingParams
) -> dict[str, float]:
    """Return loss, precision, recall and F1 on a split; nothing for an empty one."""
    if len(dataset) == 0:
        return {}
    model.eval()
    losses, logits, weights = [], [], []
    for batch in DataLoader(dataset, params.batch_size):
        logits.append(model(batch.image))
        weights.append(batch.weight.sum())
        loss = segmentation_loss(logits[-1], batch.mask, batch.weight, params.dice_share)
        losses.append(loss * weights[-1])
    mean = torch.stack(losses).sum() / torch.stack(weights).sum().clamp(min=1e-6)
    scores = score_objects(dataset, torch.cat(logits).sigmoid(), params.radius_px)
    return {"loss": mean.item()} | object_metrics(dataset.labels, scores, params.threshold)


def _save(
    model: UNet,
    splits: TrainingSplits,
    params: TrainingParams,
    metrics: dict[str, float],
    folder: Path,
) -> tuple[Path, Path]:
    record = splits.train.record
    document = {
        "format_version": FORMAT_VERSION,
        "architecture": "UNet",
        "params": params.model_dump(mode="json"),
        "dataset_id": str(record.id),
        "dataset_version": record.version_id,
        "processor": recipe_of(record).processor,
        "preprocess_spec": record.preprocess_spec,
        "spec_fingerprint": record.spec_fingerprint,
        "metrics": metrics,
    }
    folder.mkdir(parents=True, exist_ok=True)
    state, metadata = folder / STATE, folder / METADATA
    torch.save(model.state_dict(), state)
    metadata.write_text(json.dumps(document, indent=2, sort_keys=True), encoding="utf-8")
    return state, metadata
