"""`astrid-training predict`: what a trained network says of places on an exposure."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from astrid_training.settings import Settings
from deployments.console import USAGE, Json, fail, print_json, ready, reported, say

if TYPE_CHECKING:
    from astrid_training.networks import Network
    from astrid_training.predict import Prediction
    from astrid_training.processor import ExposureFrames

__all__ = ["predict"]

Format = Literal["fits", "npy"]


@dataclass(frozen=True, slots=True)
class _Exposure:
    """Files of one exposure and places on it."""

    science: Path
    reference: Path | None
    difference: Path | None
    survey: str | None
    kind: Literal["raw", "processed", "stamp"]
    at: list[tuple[float, float]]
    """Right ascension and declination, degrees."""
    xy: list[tuple[float, float]]


def predict(
    model: Annotated[
        str,
        typer.Argument(
            help="A folder with unet.json; a training's id; an MLflow run's id; or NAME/VERSION of a "
            "registered model."
        ),
    ],
    file: Annotated[Path, typer.Argument(help="FITS file of the science image; it may hold all.")],
    *,
    reference: Annotated[Path | None, typer.Option(help="Of the reference image.")] = None,
    difference: Annotated[Path | None, typer.Option(help="Of the difference image.")] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="RA,DEC", help="A target, degrees, ICRS; may be given again."),
    ] = None,
    xy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y",
            help="A target, column and row from 0 on the difference image; may be given again.",
        ),
    ] = None,
    survey: Annotated[
        str | None,
        typer.Option(help="Whose files these are; none given: the one that the network knows."),
    ] = None,
    kind: Annotated[
        Literal["raw", "processed", "stamp"], typer.Option(help="What the files are.")
    ] = "raw",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for a mask of each target; none given: none."),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="Of the masks.")] = "fits",
    as_json: Json = False,
) -> None:
    """Tell how probably targets are real, by the processor that the network was trained with.

    A folder as MODEL needs no server. Exit 1 if pixels would be prepared in another way than in training.
    """
    try:
        targets = [_pair(one) for one in at or []], [_pair(one) for one in xy or []]
    except ValueError as error:
        fail(str(error), USAGE, as_json=as_json)
    if not any(targets):
        fail("no target; give --at RA,DEC or --xy X,Y", USAGE, as_json=as_json)
    exposure = _Exposure(file, reference, difference, survey, kind, *targets)
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        told = _predict(settings, model, exposure, output, form)
    for one in told["targets"]:
        said = (
            one["problem"] or f"{one['probability']:.4f} {'real' if one['is_real'] else 'not real'}"
        )
        say(f"x {one['x']:9.2f}  y {one['y']:9.2f}  {said}  {one.get('file', '')}".rstrip())
    if as_json:
        print_json(told)


def _pair(text: str) -> tuple[float, float]:
    try:
        first, second = map(float, text.split(","))
    except ValueError:
        raise ValueError(f"{text!r} is no target; write two numbers with a comma") from None
    return first, second


def _predict(
    settings: Settings, model: str, exposure: _Exposure, output: Path | None, form: Format
) -> dict[str, Any]:
    from astrid_training.model_sources import find_model
    from astrid_training.networks import load_network  # brings torch

    with TemporaryDirectory() as fetched:
        network = load_network(find_model(model, settings, Path(fetched)))
    frames, found = _ask(network, exposure)
    targets = [one.told() for one in found]
    if output is not None:
        files = _write(output, form, network, frames, found)
        targets = [
            {**one, **({"file": str(files[n])} if n in files else {})}
            for n, one in enumerate(targets)
        ]
    return {
        "model": model,
        "dataset_version": network.dataset_version,
        "spec_fingerprint": network.recipe.fingerprint,
        "threshold": network.threshold,
        "targets": targets,
    }


def _ask(network: "Network", exposure: _Exposure) -> "tuple[ExposureFrames, list[Prediction]]":
    import numpy as np

    from astrid_training.errors import PredictionRefusedError
    from astrid_training.inference import frames_from_files, pixel_positions
    from astrid_training.predict import predict_targets

    survey = exposure.survey or (network.surveys[0] if len(network.surveys) == 1 else None)
    if survey is None:
        known = ", ".join(network.surveys) or "none by name"
        raise PredictionRefusedError(
            f"whose files these are is not known: the network was trained on {known}; give --survey"
        )
    frames = frames_from_files(
        survey, exposure.science, exposure.reference, exposure.difference, kinds=exposure.kind
    )
    if exposure.at and frames.primary.wcs is None:
        raise PredictionRefusedError("the image has no WCS; give --xy instead of --at")
    ra, dec = [one for one, _ in exposure.at], [one for _, one in exposure.at]
    x, y = pixel_positions(frames, ra, dec)
    x = np.concatenate([x, [one for one, _ in exposure.xy]])
    y = np.concatenate([y, [one for _, one in exposure.xy]])
    return frames, predict_targets(network, frames, x, y)


def _write(
    folder: Path,
    form: Format,
    network: "Network",
    frames: "ExposureFrames",
    found: "list[Prediction]",
) -> dict[int, Path]:
    from astrid_training.predict import write_fits, write_npy

    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for number, one in enumerate(found):
        if one.pixels is None:
            continue
        written[number] = folder / f"mask-{number}.{form}"
        if form == "fits":
            write_fits(written[number], one, network, frames)
        else:
            write_npy(written[number], one)
    return written
