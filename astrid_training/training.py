"""Train the U-Net on a dataset's splits, measure it, and leave it with all that is said of it."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from astrid_training.calibration import Calibration
from astrid_training.checkpoints import Checkpoints, Progress, training_key
from astrid_training.dataset import TrainingSplits
from astrid_training.devices import Machine, choose_machine, deterministic
from astrid_training.evaluation import Evaluation, calibrate, evaluate
from astrid_training.files import write_atomically
from astrid_training.losses import segmentation_loss
from astrid_training.networks import Network, load_network, load_unet, save_network
from astrid_training.optimise import augmentation_of, optimise
from astrid_training.processors import recipe_of
from astrid_training.training_params import TrainingParams
from astrid_training.unet import UNet

__all__ = [
    "Network",
    "TrainingParams",
    "TrainingReport",
    "TrainingResult",
    "load_network",
    "load_unet",
    "segmentation_loss",
    "train_unet",
]

REPORT = "training.json"


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What a training did and how good its network is; all of it is in `training.json`."""

    params: dict[str, Any]
    dataset_id: str
    dataset_version: str
    spec_fingerprint: str
    device: str
    precision: str
    steps: int
    """That were done; fewer than asked for where val did not get better for long."""
    best_step: int
    """Whose weights were kept."""
    calibration: Calibration
    """Of whole detections, fitted on val."""
    losses: list[float]
    """Of each step on train."""
    looks: list[tuple[int, float]]
    """Steps after which val was looked at, and its loss then."""
    val: Evaluation | None
    """None for an empty split."""
    test: Evaluation | None

    def metrics(self) -> dict[str, float]:
        """Return the figures by name, as MLflow and `training_runs` have them."""
        tail = self.losses[-max(1, len(self.losses) // 10) :]
        found = {
            "train_loss": sum(tail) / len(tail),
            "steps": float(self.steps),
            "best_step": float(self.best_step),
            "temperature": self.calibration.temperature,
            "offset": self.calibration.offset,
        }
        for one in (self.val, self.test):
            found |= one.metrics() if one is not None else {}
        return found

    def headline(self) -> dict[str, float]:
        """Return the metrics that are of no single class or survey."""
        return {name: value for name, value in self.metrics().items() if "/" not in name}


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a training left."""

    metrics: dict[str, float]
    """train_loss (mean of the last tenth of the steps), and for val and test `<split>_loss`,
    `<split>_precision`, `<split>_recall`, `<split>_f1` of whole detections, and further ones: see
    `Evaluation.metrics`. An undefined ratio (nothing predicted real, nothing real) is absent."""
    loss_history: list[float]
    """Loss of each step."""
    state_path: Path
    """The weights, a torch file that loads with weights_only."""
    metadata_path: Path
    """JSON: what the network is, what it was trained on, how, and its metrics."""
    report: TrainingReport
    report_path: Path
    """The report as JSON."""


def train_unet(
    splits: TrainingSplits,
    params: TrainingParams,
    checkpoint_dir: Path,
    progress: Callable[[int, float], None] | None = None,
    *,
    resume: bool = False,
) -> TrainingResult:
    """Return a U-Net trained on `splits.train` and measured on the other two.

    Equal splits, parameters and machine give equal weights, whether or not a training was killed and
    gone on with; the caller's random state is left as it was. On CUDA they are equal nearly, not to the bit.

    Args:
        splits: of one dataset, loaded with `params.channels`; its own augmentation is not used.
        params: how to train.
        checkpoint_dir: where checkpoints, the network and the report are written; made if it is not there.
        progress: called after each step with its number, from 1, and its loss.
        resume: go on from the checkpoint in `checkpoint_dir`, if there is one.

    Raises:
        ValueError: if there is nothing to train on, the channels are not those of `params`, or these
            ask for a device that is not there.
        ParityError: if this installation would prepare the dataset's pixels in another way.
        CheckpointError: if the checkpoint is of another training, or damaged.
        FloatingPointError: if the loss is no longer finite.
    """
    _check(splits, params)
    machine = choose_machine(params)
    checkpoints = Checkpoints(checkpoint_dir, training_key(splits.train.record, params))
    with deterministic(machine, params.seed, params.threads):
        model = machine.take(UNet(len(params.channels), params.width))
        done = optimise(
            model,
            splits.train.augmented(augmentation_of(params)),
            splits.val,
            params,
            machine,
            checkpoints,
            resume=resume,
            progress=progress,
        )
        report = _report(model, splits, params, machine, done)
    record, metrics = splits.train.record, report.metrics()
    surveys = sorted({*splits.train.table["survey"].to_pylist()})
    saved = save_network(
        checkpoint_dir, model, surveys, record, params, report.calibration, metrics
    )
    path = checkpoint_dir / REPORT
    write_atomically(path, json.dumps(asdict(report), indent=1).encode("utf-8"))
    return TrainingResult(metrics, done.losses, *saved, report, path)


def _report(
    model: UNet, splits: TrainingSplits, params: TrainingParams, machine: Machine, done: Progress
) -> TrainingReport:
    calibration = calibrate(model, splits.val, params, machine)
    record = splits.train.record
    return TrainingReport(
        params.model_dump(mode="json"),
        str(record.id),
        record.version_id,
        record.spec_fingerprint,
        machine.device.type,
        str(machine.dtype).removeprefix("torch."),
        done.step,
        done.best_step,
        calibration,
        done.losses,
        done.looks,
        evaluate(model, splits.val, params, machine, calibration),
        evaluate(model, splits.test, params, machine, calibration),
    )


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
