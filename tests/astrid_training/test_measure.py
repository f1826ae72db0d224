"""What is measured at the target: how evenly a difference is divided into gained and lost light."""

from typing import Any

import numpy as np
import pytest

from astrid_training.exposures import ExposureContext, Target, build_exposure
from astrid_training.processor import AstronomicalImageProcessor, ExposureFrames
from astrid_training.surveys import Frame, profile_for
from astrid_training.surveys.frames import FrameMeta

SIGMA, NOISE = 1.02, 10.0
X, Y = 70.0, 60.0


def measured(*sources: tuple[float, float, float]) -> dict[str, Any]:
    """Return what is measured on a difference of sources (flux, columns, rows from the target)."""
    y, x = np.indices((120, 140))
    pixels = np.random.default_rng(1).normal(0, NOISE, x.shape)
    for flux, dx, dy in sources:
        apart = (x - X - dx) ** 2 + (y - Y - dy) ** 2
        pixels += flux * np.exp(-apart / (2 * SIGMA**2)) / (2 * np.pi * SIGMA**2)
    sky = np.random.default_rng(2).normal(300, NOISE, x.shape).astype(np.float32)
    meta = FrameMeta(seeing_px=2.4)
    frames = ExposureFrames(
        Frame(sky, None, meta), Frame(sky, None, meta), Frame(pixels.astype(np.float32), None, meta)
    )
    context = ExposureContext("sim_ztf", "ztf_r", None, 1.01, profile_for("sim_ztf"))
    target = Target("0" * 32, 0.0, 0.0, X, Y)
    built = build_exposure(frames, [target], AstronomicalImageProcessor(), context)
    row: dict[str, Any] = built.measures.to_pylist()[0]
    return row


@pytest.mark.parametrize(
    ("sources", "low", "high"),
    [
        pytest.param([(3000, 0, 0)], 0, 0.02, id="a source that brightened"),
        pytest.param([(-3000, 0, 0)], 0, 0.02, id="one that faded"),
        pytest.param([(3000, 1.2, 0), (-3000, -1.2, 0)], 0.8, 1, id="a dipole"),
        pytest.param([(-3000, 0, 1.2), (3000, 0, -1.2)], 0.8, 1, id="turned round"),
        pytest.param([(4000, 1.5, 0), (-2000, -1.5, 0)], 0.3, 0.6, id="an uneven dipole"),
        pytest.param([(3000, 0, 0), (-3000, 9, 0)], 0, 0.02, id="a far neighbour"),
    ],
)
def test_a_dipole_is_told_by_its_two_lobes(
    sources: list[tuple[float, float, float]], low: float, high: float
) -> None:
    assert low <= measured(*sources)["dipole_score"] <= high


def test_where_nothing_stands_out_there_is_no_dipole_score() -> None:
    assert measured((60, 0, 0))["dipole_score"] is None


def test_registration_is_unknown_where_there_are_no_stars() -> None:
    row = measured((3000, 0, 0))

    assert row["registration_px"] is None
    assert row["registration_stars"] == 0
