"""Stamps a second from frames in memory: cut, background, scale, flags, metrics, digests.

Beside it the physical limit, copying the same windows out of the frames, and the same build with the
sky of others. It runs in a child process, as a collection's pool does, so that NumPy can be told
beforehand what this processor is slow at.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
from astropy.nddata import Cutout2D
from astropy.wcs import WCS
from numpy.typing import NDArray

from astrid_training import cpu, processor
from astrid_training.background import BackgroundMesh
from astrid_training.exposures import ExposureContext, Target, build_exposure
from astrid_training.params import PreprocessSpec
from astrid_training.processor import AstronomicalImageProcessor, ExposureFrames
from astrid_training.surveys import Frame, profile_for
from astrid_training.surveys.frames import FrameMeta
from benchmarks.peers import peer
from benchmarks.rows import Row, at_least, not_installed
from benchmarks.timing import interleave

SIDE = 2048
FRAMES = 3
DETECTIONS = (30, 2)
GOALS = {30: 600, 2: 350}  # samples per CPU second
SEP_GOAL, PHOTUTILS_GOAL = 3, 20
SPEC = PreprocessSpec()
CONTEXT = ExposureContext("sim_ztf", "ztf_r", 2.2, 1.01, profile_for("sim_ztf"))

Places = NDArray[np.float64]


def make_exposure(seed: int) -> ExposureFrames:
    """Return three frames of noise with a sky, on one grid."""
    rng = np.random.default_rng(seed)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 2.0], [SIDE / 2, SIDE / 2]
    wcs.wcs.cdelt = [-1.01 / 3600, 1.01 / 3600]
    meta = FrameMeta(seeing_px=2.2, pixel_scale_arcsec=1.01, gain=6.2, saturation=60_000.0)

    def frame(sky: float, noise: float) -> Frame:
        pixels = rng.normal(sky, noise, (SIDE, SIDE)).astype(np.float32)
        return Frame(pixels, wcs, meta, "raw", 1)

    return ExposureFrames(frame(300, 10), frame(280, 5), frame(0, 11))


def images(exposure: ExposureFrames) -> list[Frame]:
    """Return the three frames of an exposure."""
    frames = (exposure.science, exposure.reference, exposure.difference)
    return [frame for frame in frames if frame is not None]


class Exposures:
    """Frames in memory and places on them; each method is one side of the race."""

    def __init__(self, detections: int) -> None:
        rng = np.random.default_rng(9)
        self.frames = [make_exposure(seed) for seed in range(FRAMES)]
        self.places = rng.uniform(60, SIDE - 60, (FRAMES, detections, 2))
        skies = [
            one.science.wcs.all_pix2world(at, 0)
            for one, at in zip(self.frames, self.places, strict=True)
        ]
        self.targets = [
            [Target(f"{n:032d}", *sky[n].tolist(), *at[n].tolist()) for n in range(detections)]
            for sky, at in zip(skies, self.places, strict=True)
        ]
        self.out = np.empty((detections, 3, SPEC.padded_size, SPEC.padded_size), np.float32)

    def build(self) -> None:
        """Make everything that a collection stores of these targets."""
        for exposure, targets in zip(self.frames, self.targets, strict=True):
            for frame in images(exposure):
                frame.caches.clear()  # the background's cells are cold, as on a new exposure
            build_exposure(exposure, targets, AstronomicalImageProcessor(SPEC), CONTEXT)

    def build_with_sep(self) -> None:
        """Do the same with the sky of sep."""
        with patch.object(processor, "BackgroundMesh", _SepMesh):
            self.build()

    def cut_by_hand(self) -> None:
        """Subtract the sky of photutils and cut by Cutout2D; no flags, metrics, digests."""
        for exposure, at in zip(self.frames, self.places, strict=True):
            for channel, frame in enumerate(images(exposure)):
                pixels = frame.pixels
                if channel < 2:
                    pixels = pixels - _photutils_sky(pixels)
                for n, (x, y) in enumerate(at):
                    cut = Cutout2D(pixels, (x, y), SPEC.padded_size, wcs=frame.wcs).data
                    level = np.median(cut)
                    noise = 1.4826 * np.median(np.abs(cut - level))
                    self.out[n, channel] = np.arcsinh((cut - level) / (3 * noise)).clip(-10, 10)

    def copy(self) -> None:
        """Copy the windows, which is the least that anybody can do."""
        half = SPEC.padded_size // 2
        for exposure, at in zip(self.frames, self.places, strict=True):
            for n, (x, y) in enumerate(at.astype(int).tolist()):
                window = slice(y - half, y + half), slice(x - half, x + half)
                for channel, frame in enumerate(images(exposure)):
                    self.out[n, channel] = frame.pixels[window]


class _SepMesh(BackgroundMesh):
    """The sky of sep, whole frames at once."""

    def __init__(self, frame: Frame, cell_px: int, missing_above: float) -> None:
        super().__init__(frame, cell_px, missing_above)
        found = _peer("sep").Background(frame.pixels, bw=cell_px, bh=cell_px, fw=3, fh=3)
        self._smooth_known[:] = self._known[:] = True
        self._sky = found.back()
        self._sigmas[:] = found.globalrms

    def at(self, rows: slice, columns: slice) -> NDArray[np.float64]:
        level: NDArray[np.float64] = self._sky[rows, columns].astype(np.float64)
        return level


def _peer(name: str) -> ModuleType:
    module = peer(name)
    if module is None:
        raise ModuleNotFoundError(f"{name} is not installed: make peers")
    return module


def _photutils_sky(pixels: NDArray[Any]) -> NDArray[np.float64]:
    background = _peer("photutils.background")
    sky: NDArray[np.float64] = background.Background2D(
        pixels, SPEC.cell_px, bkg_estimator=background.MedianBackground()
    ).background
    return sky


def _whole_sky(frame: Frame) -> dict[str, Callable[[], object]]:
    whole = slice(0, SIDE), slice(0, SIDE)
    sides: dict[str, Callable[[], object]] = {
        "mesh": lambda: BackgroundMesh(frame, SPEC.cell_px).prepare([whole])
    }
    if peer("sep") is not None:
        sides["mesh sep"] = lambda: _peer("sep").Background(frame.pixels, bw=64, bh=64)
    return sides


def figures(sides: Sequence[str]) -> dict[str, float]:
    """Return CPU seconds of each side, by `<side> <detections>`."""
    found: dict[str, float] = {}
    for detections in DETECTIONS:
        race = Exposures(detections)
        runs: dict[str, Callable[[], object]] = {"build": race.build, "copy": race.copy}
        if "sep" in sides:
            runs["sep"] = race.build_with_sep
        times = interleave(runs)
        if "photutils" in sides:
            times |= interleave({"photutils": race.cut_by_hand}, rounds=1)
        found |= {f"{name} {detections}": timing.cpu_s for name, timing in times.items()}
    whole = interleave(_whole_sky(race.frames[0].science))
    return found | {name: timing.cpu_s for name, timing in whole.items()}


def in_child(environment: dict[str, str], *sides: str) -> dict[str, float]:
    """Return the figures of a fresh process with this addition to its environment."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.build_core", *sides],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, float] = json.loads(run.stdout)
    return found


WHY_MISSED = """
Ordering the pixels of the sky's cells is the larger part of the build, and depends on the processor
more than anything else does: NumPy's sort with AVX-512 takes three times as long on Zen 4 as
without (why worker processes run without). The goals come from a machine whose memory is twice as
fast. Tried and left: a radix sort of rounded values (another median), partitions in place of the
sort (one more after each clip): decision 12.
"""


def report() -> list[Row]:
    """Return the lines of the table of results."""
    peers = [name for name in ("sep", "photutils") if peer(name) is not None]
    times = in_child(cpu.environment(), *peers)
    rows = [row for detections in DETECTIONS for row in _build_rows(times, detections)]
    rows += [_mesh_row(times)]
    if cpu.environment():
        rows += _instruction_rows(times, in_child({}))
    return rows


def _build_rows(times: dict[str, float], detections: int) -> list[Row]:
    what = f"build core, {detections} detections per {SIDE}x{SIDE} exposure"
    samples = FRAMES * detections
    ours = times[f"build {detections}"]
    speed = f"{samples / ours:,.0f} samples/CPU-s"
    copy = times[f"copy {detections}"]
    goal = at_least(samples / ours, GOALS[detections], "samples/CPU-s")
    rows = [Row(what, speed, f"copy of the windows {samples / copy:,.0f}", copy / ours, goal)]
    for name, side, wanted in (
        ("the same build with the sky of sep", "sep", SEP_GOAL),
        ("photutils and Cutout2D, no flags, metrics, digests", "photutils", PHOTUTILS_GOAL),
    ):
        theirs = times.get(f"{side} {detections}")
        if theirs is None:
            rows.append(Row(what, speed, not_installed(side)))
            continue
        gain = theirs / ours
        peer_speed = f"{name} {samples / theirs:,.1f}"
        rows.append(Row(what, speed, peer_speed, gain, at_least(gain, wanted)))
    return rows


def _mesh_row(times: dict[str, float]) -> Row:
    what, ours = f"sky of all of a {SIDE}x{SIDE} frame", times["mesh"]
    theirs = times.get("mesh sep")
    figure = f"{1000 * ours:.1f} CPU-ms"
    if theirs is None:
        return Row(what, figure, not_installed("sep"))
    return Row(what, figure, f"sep {1000 * theirs:.1f}", theirs / ours)


def _instruction_rows(times: dict[str, float], slow: dict[str, float]) -> list[Row]:
    return [
        Row(
            f"build core, {detections} detections, without AVX-512 as in the pool",
            f"{1000 * times[name] / FRAMES:.1f} CPU-ms an exposure",
            f"with it {1000 * slow[name] / FRAMES:.1f}",
            slow[name] / times[name],
        )
        for detections, name in ((n, f"build {n}") for n in DETECTIONS)
    ]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(figures(sys.argv[1:])))
