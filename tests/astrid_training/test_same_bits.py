"""Stamps, and what masks are drawn from, have the same bits on processors of any age."""

import os
import subprocess
import sys

import numpy as np

from astrid_training.digests import digest_bytes
from astrid_training.exposures import ExposureContext, Target, build_exposure
from astrid_training.params import PreprocessSpec
from astrid_training.processor import AstronomicalImageProcessor, ExposureFrames
from astrid_training.surveys import Frame, FrameMeta, profile_for

HEIGHT, WIDTH = 300, 420
SCALES = ("asinh", "l2", "percentile", "zscale")
STARS = np.random.default_rng(9).uniform((0, 0, 50), (WIDTH, HEIGHT, 3000), (40, 3))


def frame(level: float, sigma: float, seed: int) -> Frame:
    """Return stars on noise, of basic operations; no header tells how wide they are."""
    rows, columns = np.indices((HEIGHT, WIDTH))
    image = np.random.default_rng(seed).normal(level, sigma, (HEIGHT, WIDTH))
    for x, y, peak in STARS:
        wing = 1 + ((columns - x) ** 2 + (rows - y) ** 2) / 9
        image += peak / (wing * wing * wing * wing)
    image[seed * 40 : seed * 40 + 5, :300] = np.nan
    return Frame(image.astype(np.float32), meta=FrameMeta(saturation=5e4))


def digests() -> list[str]:
    """Return the digests of what is built of some targets, preset by preset."""
    frames = ExposureFrames(frame(300, 9, 1), frame(90, 4, 2), frame(0, 10, 3))
    targets = [
        Target(str(i), 0.0, 0.0, x + 0.3, y - 0.2) for i, (x, y) in enumerate(STARS[:15, :2])
    ]
    context = ExposureContext("sim_ztf", "ztf_r", None, None, profile_for("sim_ztf"))
    found = []
    for scale in SCALES:
        processor = AstronomicalImageProcessor(PreprocessSpec.model_validate({"scale": scale}))
        built = build_exposure(frames, targets, processor, context)
        measures = built.measures
        assert set(measures["fwhm_source"].to_pylist()) == {"stars"}
        assert "no_wcs,refined" in measures["position_flags"].to_pylist()
        drawn_from = np.array(measures.select(["x", "y", "fwhm_px", "scale_difference"]).columns)
        parts = (built.pixels, built.flags, built.significance, drawn_from)
        found += [digest_bytes(part.tobytes()) for part in parts]
    return found


def test_the_oldest_instructions_give_the_same_bits() -> None:
    child = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(features())},
        capture_output=True,
        text=True,
        check=True,
    )

    assert child.stdout.split() == digests()


def features() -> list[str]:
    """Return the instruction sets that NumPy found here beyond what it needs."""
    names: list[str] = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    return names


if __name__ == "__main__":
    sys.stdout.write(" ".join(digests()))
