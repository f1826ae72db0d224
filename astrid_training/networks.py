"""A trained network as a folder: its weights, without pickles, and what it is and was trained on."""

import io
import json
import pickle
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from astrid_training.calibration import Calibration
from astrid_training.files import write_atomically
from astrid_training.models import NetworkSignature
from astrid_training.params import Channel
from astrid_training.processor import check_parity
from astrid_training.processors import Recipe, recipe_of
from astrid_training.records import TrainingDataset
from astrid_training.tracking import safe_name
from astrid_training.training_params import TrainingParams
from astrid_training.unet import UNet

__all__ = [
    "METADATA",
    "STATE",
    "Network",
    "NetworkError",
    "load_network",
    "load_unet",
    "model_name",
    "network_alone",
    "network_signature",
    "save_network",
]

STATE, METADATA = "unet.pt", "unet.json"
FORMAT_VERSION = 2
AGAIN = "fetch it again from where it was kept, or train again"


class NetworkError(ValueError):
    """A network cannot be read."""


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A trained network, and how it is to be used."""

    model: UNet
    """On the CPU, ready to predict."""
    recipe: Recipe
    """How the pixels that it shall see are prepared."""
    channels: tuple[Channel, ...]
    """The images it sees, in this order."""
    threshold: float
    """A detection counts as real from this calibrated probability on."""
    radius_px: float
    """The probability is the largest within this distance of the target."""
    calibration: Calibration
    """From a detection's logit to its probability."""
    surveys: tuple[str, ...]
    """Whose samples it was trained on."""
    dataset_id: str
    dataset_version: str


def save_network(
    folder: Path,
    model: UNet,
    surveys: Sequence[str],
    dataset: TrainingDataset,
    params: TrainingParams,
    calibration: Calibration,
    metrics: Mapping[str, float],
) -> tuple[Path, Path]:
    """Write the network and return the paths of its weights and of what is said of it.

    Args:
        folder: made if it is not there.
        model: on any device.
        surveys: whose samples it was trained on.
        dataset: what that is.
        params: how.
        calibration: from a detection's logit to its probability.
        metrics: what was measured.
    """
    document = {
        "format_version": FORMAT_VERSION,
        "architecture": "UNet",
        "params": params.model_dump(mode="json"),
        "dataset_id": str(dataset.id),
        "dataset_version": dataset.version_id,
        "surveys": list(surveys),
        "processor": recipe_of(dataset).processor,
        "preprocess_spec": dataset.preprocess_spec,
        "spec_fingerprint": dataset.spec_fingerprint,
        "signature": asdict(network_signature(dataset, params)),
        "calibration": asdict(calibration),
        "metrics": dict(metrics),
    }
    buffer = io.BytesIO()
    torch.save({name: value.cpu() for name, value in model.state_dict().items()}, buffer)
    write_atomically(folder / STATE, buffer.getvalue())
    text = json.dumps(document, indent=2, sort_keys=True)
    write_atomically(folder / METADATA, text.encode("utf-8"))
    return folder / STATE, folder / METADATA


def network_signature(dataset: TrainingDataset, params: TrainingParams) -> NetworkSignature:
    """Return what the network takes and gives, with the fingerprint of how pixels are prepared."""
    side = int(dataset.preprocess_spec["stamp_size"])
    return NetworkSignature(params.channels, dataset.spec_fingerprint, side)


def model_name(dataset: TrainingDataset) -> str:
    """Return the name under which networks trained on versions of a dataset are registered."""
    return f"unet-{safe_name(dataset.name)}"


@contextmanager
def network_alone(folder: Path) -> Iterator[Path]:
    """Give the block a copy of a network's two files, without what else a training left."""
    with TemporaryDirectory() as copy:
        for name in (STATE, METADATA):
            shutil.copy2(folder / name, copy)
        yield Path(copy)


def load_network(folder: Path, spec_fingerprint: str | None = None) -> Network:
    """Return the network that a training left in `folder`.

    Args:
        folder: the checkpoint_dir of the training, or a copy of its two files.
        spec_fingerprint: how the pixels it shall see are prepared; None: by this installation, as
            the dataset's were.

    Raises:
        FileNotFoundError: if there is none.
        NetworkError: if a newer version wrote it, or it is damaged.
        ParityError: if it was trained on pixels prepared in another way.
        ProcessorError: if the class that prepared them cannot be imported here.
    """
    told = _told(folder / METADATA)
    trained_on = Recipe.stored(
        told.get("processor"), told["preprocess_spec"], told["spec_fingerprint"]
    )
    if spec_fingerprint is None:
        trained_on.check()
    else:
        check_parity(trained_on.fingerprint, spec_fingerprint)
    params = TrainingParams(**told["params"])
    model = UNet(len(params.channels), params.width)
    model.load_state_dict(_weights(folder / STATE))
    return Network(
        model.eval(),
        trained_on,
        params.channels,
        params.threshold,
        params.radius_px,
        Calibration(**told.get("calibration", {})),  # format 1 had none
        tuple(told.get("surveys", ())),
        told["dataset_id"],
        told["dataset_version"],
    )


def _told(path: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = int(told["format_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise NetworkError(f"{path} is damaged ({error}); {AGAIN}") from error
    if version > FORMAT_VERSION:
        raise NetworkError(
            f"{path} has format {version}, this version reads up to {FORMAT_VERSION}; load it with the "
            "version of this package that trained it, or a newer one"
        )
    return told


def _weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        weights: dict[str, torch.Tensor] = torch.load(path, weights_only=True, map_location="cpu")
    except (EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise NetworkError(f"{path} is damaged ({type(error).__name__}); {AGAIN}") from error
    return weights


def load_unet(folder: Path, spec_fingerprint: str | None = None) -> UNet:
    """Return the bare network of `load_network`, which gives logits that are not calibrated."""
    return load_network(folder, spec_fingerprint).model
