"""Cosmic rays on stamps with their surroundings, against the whole frame: equal flags for less."""

import json
import os
import subprocess
import sys
import time

import numpy as np
from astroscrappy import detect_cosmics
from numpy.typing import NDArray

from astrid_training.cosmic_rays import CONTEXT_PX, ITERATIONS, flag_cosmic_rays
from astrid_training.params import PreprocessSpec
from astrid_training.surveys import Frame
from astrid_training.surveys.frames import FrameMeta
from benchmarks.rows import Goal, Row, at_least
from benchmarks.timing import interleave

SIDE = 2048
HITS, STARS = 2000, 1000
GOALS = {30: 20, 2: 250}
META = FrameMeta(gain=6.2, read_noise=10.3)
SPEC = PreprocessSpec()

Flags = NDArray[np.bool_]


def make_frame() -> Frame:
    """Return noise with stars and short bright tracks."""
    rng = np.random.default_rng(3)
    pixels = rng.normal(300, 9, (SIDE, SIDE))
    offsets = np.arange(-12, 13)
    for x, y, peak in rng.uniform((20, 20, 50), (SIDE - 20, SIDE - 20, 5000), (STARS, 3)):
        left, bottom = int(x), int(y)
        r2 = (left + offsets - x) ** 2 + ((bottom + offsets - y) ** 2)[:, None]
        rows, columns = slice(bottom - 12, bottom + 13), slice(left - 12, left + 13)
        pixels[rows, columns] += peak * np.exp(-r2 / (2 * 1.5**2))
    for x, y in rng.integers(5, SIDE - 5, (HITS, 2)):
        pixels[y, x : x + rng.integers(1, 5)] += rng.uniform(200, 3000)
    return Frame(pixels.astype(np.float32), meta=META)


def _whole(frame: Frame) -> Flags:
    hits: Flags = detect_cosmics(
        frame.data,
        inmask=np.zeros(frame.shape, np.bool_),
        gain=META.gain,
        readnoise=META.read_noise,
        satlevel=np.inf,
        niter=ITERATIONS,
    )[0]
    return hits


def figures() -> dict[str, float]:
    """Return CPU seconds of the whole frame and of each number of stamps, and how many are alike."""
    frame = make_frame()
    start = time.process_time()
    whole = _whole(frame)
    found = {"whole": time.process_time() - start}
    size = SPEC.padded_size
    for detections in GOALS:
        places = np.random.default_rng(detections).integers(0, SIDE - size, (detections, 2))
        corners = places.tolist()

        def flag(corners: list[list[int]] = corners) -> list[Flags]:
            return [flag_cosmic_rays(frame, x, y, size, SPEC.missing_above) for x, y in corners]

        found[f"stamps {detections}"] = interleave({"stamps": flag}, rounds=3)["stamps"].cpu_s
        found[f"alike {detections}"] = sum(
            np.array_equal(flags, whole[y : y + size, x : x + size])
            for flags, (x, y) in zip(flag(), corners, strict=True)
        )
    return found


def report() -> list[Row]:
    """Return the lines of the table of results, of a process with one thread as in the pool."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.cosmic_rays"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(run.stdout)
    return [_row(found, detections) for detections in GOALS]


def _row(found: dict[str, float], detections: int) -> Row:
    ours, whole = found[f"stamps {detections}"], found["whole"]
    alike = found[f"alike {detections}"]
    return Row(
        f"cosmic rays of {detections} stamps, {CONTEXT_PX} px with surroundings, {ITERATIONS} rounds",
        f"{1000 * ours:,.0f} CPU-ms, {alike} of {detections} flagged alike",
        f"whole {SIDE}x{SIDE} frame {1000 * whole:,.0f}",
        whole / ours,
        at_least(whole / ours, GOALS[detections]) & Goal("equal flags", alike == detections),
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(figures()))
