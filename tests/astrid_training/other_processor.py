"""Processors that are not ours, as a project beside ours would have them."""

from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from astrid_training.params import PreprocessSpec
from astrid_training.processor import AstronomicalImageProcessor, ExposureFrames
from astrid_training.stamps import Stamps


class Halved:
    """Makes our stamps, at half their height."""

    VERSION: object = "1"

    def __init__(self, spec: PreprocessSpec) -> None:
        self.spec = spec
        self._ours = AstronomicalImageProcessor(spec)

    def apply_many(
        self, frames: ExposureFrames, x: Any, y: Any, fwhm_px: float | None = None
    ) -> Stamps:
        stamps = self._ours.apply_many(frames, x, y, fwhm_px)
        return self.changed(replace(stamps, pixels=stamps.pixels * np.float32(0.5)))

    def changed(self, stamps: Stamps) -> Stamps:
        return stamps


class Subclass(AstronomicalImageProcessor):
    """Ours under another name."""

    VERSION = 3


class Unversioned(Halved):
    VERSION = None


class Drifting(Halved):
    """Gives other pixels each time."""

    calls = count()

    def changed(self, stamps: Stamps) -> Stamps:
        return replace(stamps, pixels=stamps.pixels + np.float32(next(self.calls)))


class OfCompany(Halved):
    """Lets a stamp's pixels depend on those beside it."""

    def changed(self, stamps: Stamps) -> Stamps:
        return replace(stamps, pixels=stamps.pixels - stamps.pixels.mean())


class Doubles(Halved):
    def changed(self, stamps: Stamps) -> Stamps:
        return replace(stamps, pixels=stamps.pixels.astype(np.float64))


class Holes(Halved):
    def changed(self, stamps: Stamps) -> Stamps:
        return replace(stamps, pixels=stamps.pixels * np.float32(np.nan))


class OtherSize(Halved):
    def __init__(self, spec: PreprocessSpec) -> None:
        super().__init__(spec.model_copy(update={"stamp_size": 128}))


class WithoutMany:
    VERSION = 1

    def __init__(self, spec: PreprocessSpec) -> None:
        self.spec = spec


class WithoutSpec:
    VERSION = 1

    def __init__(self) -> None:
        pass


NOT_A_CLASS = 7
