"""What a training needs to go on where it was, kept on disk so that a kill loses few steps."""

import io
import pickle
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import nn

from astrid_training.devices import choose_machine
from astrid_training.digests import digest_value
from astrid_training.files import write_atomically
from astrid_training.records import TrainingDataset
from astrid_training.training_params import TrainingParams

__all__ = [
    "BEST",
    "LAST",
    "CheckpointError",
    "Checkpoints",
    "Progress",
    "kept_folder",
    "training_key",
]

BEST, LAST = "best.pt", "last.pt"
NAMES = {
    BEST: {"key", "step", "model"},
    LAST: {"key", "losses", "looks", "model", "optimiser", "scaler", "random", "cuda_random"},
}
"""What each holds; a state has no number of its version, since it is only ever gone on from on its machine."""
KEPT_S = 30 * 86_400
FREE = (
    "threshold",
    "radius_px",
    "device",
    "precision",
)  # no weight depends on them, or on more than them


class CheckpointError(ValueError):
    """A checkpoint cannot be gone on from."""


@dataclass(slots=True)
class Progress:
    """How far a training is."""

    losses: list[float] = field(default_factory=list)
    """Of each step on the train split, from the first."""
    looks: list[tuple[int, float]] = field(default_factory=list)
    """Steps after which the val split was looked at, and its loss then."""

    @property
    def step(self) -> int:
        """Steps that are done."""
        return len(self.losses)

    @property
    def best_step(self) -> int:
        """Steps after which the val loss was lowest; where nobody looked, all that are done."""
        return min(self.looks, key=lambda look: (look[1], look[0]))[0] if self.looks else self.step

    @property
    def looks_since_best(self) -> int:
        """How often val was looked at since then."""
        return sum(step > self.best_step for step, _ in self.looks)


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The best and the last state of one training, in a folder.

    They load with weights_only. The order of the samples and what is drawn for them depend on seed and
    step alone, so the step is all that is kept of them.
    """

    folder: Path
    key: str
    """Of the training, see `training_key`."""

    def save(
        self,
        progress: Progress,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
    ) -> None:
        """Write the last state, and the best one if that is the same; each whole or not at all."""
        if progress.best_step == progress.step:
            self._write(BEST, {"step": progress.step, "model": model.state_dict()})
        state = {
            "losses": progress.losses,
            "looks": progress.looks,
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
            "scaler": scaler.state_dict(),
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state() if _on_cuda(model) else None,
        }
        self._write(LAST, state)

    def resume(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
    ) -> Progress:
        """Put model, optimiser and random numbers where the last state left them.

        Returns:
            How far it was; none of it done where there is no last state.

        Raises:
            CheckpointError: if it is of another training, or damaged.
        """
        if not (self.folder / LAST).exists():
            return Progress()
        state = self._read(LAST)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        if scaler.is_enabled():
            scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["random"])
        if state["cuda_random"] is not None and _on_cuda(model):
            torch.cuda.set_rng_state(state["cuda_random"])
        return Progress(state["losses"], [(step, loss) for step, loss in state["looks"]])

    def restore_best(self, model: nn.Module) -> None:
        """Give the model the best weights.

        Raises:
            CheckpointError: as `resume`.
        """
        model.load_state_dict(self._read(BEST)["model"])

    def _write(self, name: str, state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save({"key": self.key, **state}, buffer)
        write_atomically(self.folder / name, buffer.getvalue())

    def _read(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        try:
            state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        except (EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise CheckpointError(
                f"{path} is damaged ({type(error).__name__}); remove it to train from the start"
            ) from error
        if not isinstance(state, dict) or not NAMES[name] <= state.keys():
            raise CheckpointError(
                f"{path} is of another version of this package, or of something else; remove it to train "
                "from the start"
            )
        if state["key"] != self.key:
            raise CheckpointError(
                f"{path} is of a training with other parameters or samples; give another folder, or "
                "remove it to train from the start"
            )
        return state


def _on_cuda(model: nn.Module) -> bool:
    return next(model.parameters()).is_cuda


def training_key(dataset: TrainingDataset, params: TrainingParams) -> str:
    """Return what two trainings share that go through the same weights: 64 hex digits.

    Args:
        dataset: what is trained on; its content and its splits count, not its name.
        params: how; all that a weight depends on, with the device and the precision that they come to here.

    Raises:
        ValueError: if they ask for a device that is not there.
    """
    machine = choose_machine(params)  # what `auto` means may change when a device comes or goes
    where = [machine.device.type, str(machine.dtype), torch.__version__]
    how = params.model_dump(mode="json", exclude=set(FREE))
    return digest_value([dataset.version_id, dataset.digests["label"], how, where])


@contextmanager
def kept_folder(cache: Path, key: str) -> Iterator[Path]:
    """Give the block the folder of a training, as an earlier one that was killed has left it.

    It is removed once the block has come to a good end. Another training of the same key waits for it.
    What nobody has come back for in 30 days is removed, too.

    Args:
        cache: the folder on this machine for what can be made again.
        key: of the training, see `training_key`.
    """
    folder = cache / "trainings" / key[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    for old in folder.parent.iterdir():
        if old.is_dir() and time.time() - old.stat().st_mtime > KEPT_S:
            shutil.rmtree(old, ignore_errors=True)
    with FileLock(folder.with_suffix(".lock")):
        folder.mkdir(exist_ok=True)
        yield folder
        shutil.rmtree(folder)
