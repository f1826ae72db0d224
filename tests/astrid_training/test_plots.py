"""Plots count every sample once, name what they show, and look the same each time."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.figure import Figure

from astrid_training.plots import COLOURS, PLOTS, _write


def _drawn(name: str, samples: pa.Table) -> Any:
    figure = Figure()
    PLOTS[name](figure, samples)
    (axes,) = figure.axes
    return axes


def _moved(samples: pa.Table, ra_deg: Any, dec_deg: Any) -> pa.Table:
    for name, values in (("ra_deg", ra_deg), ("dec_deg", dec_deg)):
        column = pa.array(np.asarray(values, float))
        samples = samples.set_column(samples.schema.get_field_index(name), name, column)
    return samples


@pytest.mark.parametrize(
    ("name", "size", "known"),
    [
        ("classes_by_split", "get_width", 240),
        ("months", "get_height", 240),
        ("confidence", "get_height", 240),
        ("quality_score", "get_height", 240 - 24),
    ],
)
def test_bars_count_every_sample_once(published: Any, name: str, size: str, known: int) -> None:
    axes = _drawn(name, published.samples)

    assert sum(getattr(bar, size)() for bar in axes.patches) == known


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_has_a_title_and_says_what_its_axes_are(published: Any, name: str) -> None:
    axes = _drawn(name, published.samples)

    assert axes.get_title()
    assert axes.get_xlabel()
    assert axes.get_ylabel() or name == "classes_by_split"  # whose bars bear their names


def test_what_is_unknown_is_said(published: Any) -> None:
    assert "24 unknown" in _drawn("quality_score", published.samples).get_title()


def test_a_field_around_right_ascension_0_stays_together_with_east_on_the_left(
    published: Any,
) -> None:
    ra = np.resize([359.5, 0.5], 240)
    axes = _drawn("sky_coverage", _moved(published.samples, ra, np.full(240, 2.5)))

    left, right = axes.get_xlim()
    assert left > right
    assert left - right < 2


def test_a_whole_sky_is_drawn_as_a_sphere(published: Any) -> None:
    ra, dec = np.linspace(0, 359, 240), np.linspace(-80, 80, 240)
    axes = _drawn("sky_coverage", _moved(published.samples, ra, dec))

    assert axes.name == "mollweide"
    assert sum(len(group.get_offsets()) for group in axes.collections) == 240


def test_a_sample_whose_time_is_unknown_is_in_no_month(published: Any) -> None:
    place = published.samples.schema.get_field_index("observation_time")
    times = published.samples["observation_time"].to_pylist()
    some = pa.array([None, *times[1:]], pa.timestamp("us", "UTC"))
    axes = _drawn("months", published.samples.set_column(place, "observation_time", some))

    assert sum(bar.get_height() for bar in axes.patches) == 239
    assert "1 unknown" in axes.get_title()


def test_the_same_samples_give_the_same_bytes(published: Any, tmp_path: Path) -> None:
    first, again = (
        _write(PLOTS["months"], published.samples, tmp_path / f"{name}.png") for name in "ab"
    )

    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes().startswith(b"\x89PNG")


def test_colours_that_stand_together_differ_in_lightness_too() -> None:
    def lightness(name: str) -> float:
        red, green, blue = bytes.fromhex(COLOURS[name].removeprefix("#"))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for group in (("train", "val", "test"), ("real", "rejected")):
        for one, other in itertools.pairwise(group):
            assert abs(lightness(one) - lightness(other)) > 25
