"""Golden vectors: tiny files and the stamps that must come of them, on any machine, in any version.

The expected values are of plain formulas that share no code with the processor; the script that
makes them stands with the tests.
"""

import json
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrid_training.errors import GoldenVectorError, ProcessorError
from astrid_training.fits import check_fits
from astrid_training.params import CHANNELS, DEFAULT_PROCESSOR, PreprocessSpec
from astrid_training.processor import AstronomicalImageProcessor, ExposureFrames
from astrid_training.processors import Processor, Recipe
from astrid_training.stamps import ROLES, StampRefusedError, Stamps
from astrid_training.surveys.frames import Frame, Kind
from astrid_training.surveys.profiles import profiles
from astrid_training.surveys.reader import read_frame

__all__ = ["TOLERANCE", "Case", "cases", "check_golden_vectors", "check_recipe"]

FOLDER = Path(__file__).with_name("golden_vectors")
TOLERANCE = 1e-6
"""How far a pixel may lie from the expected one, in the network's units."""
SCALES = frozenset({"asinh", "l2", "percentile", "zscale", "none"})
HEAVY = frozenset({"zscale"})
"""Presets whose vectors a collection checks only where it uses them: astropy's limits bring matplotlib."""
CURE = (
    "install the versions that constraints.txt lists; after a deliberate change raise the step's "
    "ALGORITHM and make the vectors anew"
)


class Case(NamedTuple):
    """Images, a position on them, and the specs for which the outcome is known."""

    name: str
    survey: str
    kind: Kind
    x: float
    y: float
    files: dict[str, str]
    """Role -> name of a file, without its ending."""
    specs: list[str]
    refused: str | None
    """The reason for which no stamp may come of it; None where one must."""

    def frames(self) -> ExposureFrames:
        """Return the images as they are read in a collection.

        A user's own survey profiles have no say here.
        """
        profile = profiles(None)[self.survey][self.kind]
        found: dict[str, Frame] = {}
        for role in CHANNELS:
            if role in self.files:
                path = FOLDER / f"{self.files[role]}.fits"
                check_fits(path)
                found[role] = read_frame(path, profile, role, self.kind)
        return ExposureFrames(**found)


@cache
def cases() -> list[Case]:
    """Return all cases."""
    return [Case(**fields) for fields in _document()["cases"]]


def check_recipe(processor: str, spec: PreprocessSpec) -> Recipe:
    """Return the recipe of a collection, after a look at what this installation makes of it.

    Our own class is held against the golden vectors; of any class, what it makes of their files must
    be stamps, and the same ones when it is asked again, together or one by one.

    Args:
        processor: `package.module:Class`.
        spec: how pixels are prepared.

    Raises:
        ProcessorError: if the path leads to no processor, or it does not keep to its interface.
        GoldenVectorError: if our own class makes other pixels than those expected.
    """
    recipe = Recipe.of(processor, spec)
    if processor == DEFAULT_PROCESSOR:
        check_golden_vectors(SCALES - HEAVY | {spec.scale})
    else:
        _check_outcome(recipe)
    return recipe


def check_golden_vectors(scales: Collection[str] = SCALES) -> int:
    """Return how many vectors of some presets there are, all of which hold.

    Args:
        scales: values of `PreprocessSpec.scale`.

    Raises:
        GoldenVectorError: if one does not, with the place where it is farthest off.
    """
    specs = {name: PreprocessSpec(**fields) for name, fields in _document()["specs"].items()}
    count = 0
    with np.load(FOLDER / "expected.npz", allow_pickle=False) as expected:
        for case in cases():
            frames = case.frames()
            for name in (name for name in case.specs if specs[name].scale in scales):
                vector = f"{case.name}/{name}"
                outcome = _outcome(frames, case, specs[name])
                if case.refused or isinstance(outcome, str):
                    _check_refusal(vector, case.refused, outcome)
                else:
                    pixels, flags = outcome
                    _check_pixels(vector, pixels, expected[f"{vector}/pixels"])
                    _check_pixels(
                        f"flags of {vector}", flags[None], expected[f"{vector}/flags"][None]
                    )
                count += 1
    return count


def _outcome(
    frames: ExposureFrames, case: Case, spec: PreprocessSpec
) -> tuple[NDArray[np.float32], NDArray[np.uint8]] | str:
    try:
        stamp = AstronomicalImageProcessor(spec).apply(frames, case.x, case.y)
    except StampRefusedError as error:
        return error.reason
    return stamp.pixels, stamp.flags


def _check_refusal(vector: str, expected: str | None, outcome: object) -> None:
    if outcome != expected:
        got = outcome if isinstance(outcome, str) else "made"
        raise GoldenVectorError(
            f"golden vector {vector}: the stamp must be {expected or 'made'} and is {got}; {CURE}"
        )


def _check_pixels(vector: str, got: NDArray[Any], expected: NDArray[Any]) -> None:
    if got.shape != expected.shape or got.dtype != expected.dtype:
        raise GoldenVectorError(
            f"golden vector {vector}: {got.dtype} of shape {got.shape} instead of {expected.dtype} "
            f"{expected.shape}; {CURE}"
        )
    apart = np.abs(got.astype(np.float64) - expected)
    if apart.max() <= TOLERANCE:
        return
    channel, row, column = np.unravel_index(np.argmax(np.nan_to_num(apart, nan=np.inf)), got.shape)
    raise GoldenVectorError(
        f"golden vector {vector}: {got[channel, row, column]:.7g} instead of "
        f"{expected[channel, row, column]:.7g} in {ROLES[channel]}, column {column}, row {row}; {CURE}"
    )


def _check_outcome(recipe: Recipe) -> None:
    """Hold what a processor makes of the largest files against its interface."""
    case = next(case for case in cases() if case.name == "default")
    x, y = np.array([case.x, case.x + 3, case.x]), np.array([case.y, case.y, case.y - 2])
    processor = recipe.load()
    together = processor.apply_many(case.frames(), x, y)
    _check_stamps(recipe, together, len(x))
    again = processor.apply_many(case.frames(), x, y)
    alone = _one_by_one(processor, case.frames(), x, y)
    for name, stamps in (("asked again", [again]), ("asked for one stamp at a time", alone)):
        for field in ("pixels", "flags"):
            parts = np.concatenate([getattr(one, field) for one in stamps])
            if parts.tobytes() != getattr(together, field).tobytes():
                raise ProcessorError(
                    recipe.processor,
                    f"{field} differ when it is {name}; let them depend on nothing but the frames, "
                    "the position and the spec",
                )


def _one_by_one(
    processor: Processor, frames: ExposureFrames, x: NDArray[np.float64], y: NDArray[np.float64]
) -> list[Stamps]:
    return [processor.apply_many(frames, x[at : at + 1], y[at : at + 1]) for at in range(len(x))]


def _check_stamps(recipe: Recipe, made: Stamps, count: int) -> None:
    spec, side = recipe.spec, recipe.spec.padded_size
    wanted: dict[str, tuple[tuple[int, ...], type]] = {
        "pixels": ((count, len(spec.channels), side, side), np.float32),
        "flags": ((count, side, side), np.uint8),
        "raw": ((count, len(ROLES), side, side), np.float32),
        "levels": ((count, len(ROLES)), np.float64),
        "scales": ((count, len(ROLES)), np.float64),
        "noise": ((count,), np.float64),
    }
    for name, (shape, dtype) in wanted.items():
        array = np.asarray(getattr(made, name, None))
        if array.shape != shape or array.dtype != dtype:
            raise ProcessorError(
                recipe.processor,
                f"its {name} are {array.dtype} of shape {array.shape} instead of "
                f"{np.dtype(dtype)} {shape}; return astrid_training.stamps.Stamps as documented",
            )
    if not np.isfinite(made.pixels).all():
        raise ProcessorError(recipe.processor, "its pixels are not all finite; fill holes with 0")


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / "cases.json").read_text(encoding="utf-8"))
    return document
