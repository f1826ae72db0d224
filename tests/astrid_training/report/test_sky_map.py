"""The map shows every sample once, where it is, with marks that are few enough."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from astrid_training.report.sky_map import MOST_MARKS, SkyMap, mollweide, sky_map

SPLITS = ("train", "val", "test")


def _samples(
    ra: Sequence[float | None], dec: Sequence[float | None], splits: Sequence[str]
) -> pa.Table:
    columns = [pa.array(ra, pa.float64()), pa.array(dec, pa.float64()), pa.array(splits)]
    return pa.table(columns, names=["ra_deg", "dec_deg", "split"])


def _map(ra: Sequence[float], dec: Sequence[float], splits: Sequence[str]) -> SkyMap:
    found = sky_map(_samples(ra, dec, splits), SPLITS)
    assert found is not None
    return found


def test_a_hundred_thousand_samples_are_few_marks_and_all_counted() -> None:
    random = np.random.default_rng(113)
    ra, dec = random.uniform(0, 360, 100_000), np.degrees(np.arcsin(random.uniform(-1, 1, 100_000)))
    splits = random.choice(SPLITS, 100_000, p=[0.8, 0.1, 0.1])

    found = _map(ra.tolist(), dec.tolist(), splits.tolist())

    assert len(found.marks) <= MOST_MARKS
    assert found.whole_sky
    assert sum(found.count(split) for split in SPLITS) == 100_000
    assert found.count("val") == (splits == "val").sum()


def test_north_is_up_and_east_to_the_left() -> None:
    found = _map([10.0, 10.1, 10.0], [5.0, 5.0, 5.1], ["train", "val", "test"])

    here, east, north = (next(m for m in found.marks if m.split == s) for s in SPLITS)
    assert not found.whole_sky
    assert east.x < here.x == north.x
    assert north.y < here.y == east.y


@pytest.mark.parametrize("dec", [0.0, 60.0, -80.0])
def test_a_field_is_as_wide_as_it_is_on_the_sky(dec: float) -> None:
    apart = 0.5 / np.cos(np.radians(dec))
    found = _map([40, 40 + apart, 40], [dec, dec, dec + 0.5], ["train", "val", "test"])

    here, east, north = (next(m for m in found.marks if m.split == s) for s in SPLITS)
    assert here.x - east.x == pytest.approx(here.y - north.y, rel=0.03)


def test_a_field_across_the_first_meridian_is_no_whole_sky() -> None:
    found = _map([359.9, 0.1], [0, 0], ["train", "val"])

    assert not found.whole_sky
    assert {tick.words for tick in found.x_ticks} >= {"0°", "359.9°"}
    west, east = sorted(found.marks, key=lambda mark: -mark.x)
    assert (west.split, east.split) == ("train", "val")


@pytest.mark.parametrize(
    ("ra", "dec"), [([0, 90, 180, 270], [0, 0, 0, 0]), ([0, 180], [90, -90]), ([12], [89.9]), ([5, 5], [1, 1])]
)  # fmt: skip
def test_marks_lie_within_the_map_wherever_the_samples_are(
    ra: list[float], dec: list[float]
) -> None:
    found = _map(ra, dec, ["train"] * len(ra))

    assert sum(mark.count for mark in found.marks) == len(ra)
    for mark in found.marks:
        assert found.left <= mark.x <= found.right
        assert found.top <= mark.y <= found.bottom


def test_samples_without_a_position_are_left_out() -> None:
    assert sky_map(_samples([None], [None], ["train"]), SPLITS) is None
    found = sky_map(_samples([None, 3], [None, 4], ["train", "val"]), SPLITS)
    assert found is not None
    assert [mark.split for mark in found.marks] == ["val"]


def test_the_projection_keeps_areas() -> None:
    lat = np.linspace(-90, 90, 2001)
    x, y = mollweide(np.full(lat.shape, 180.0), lat)

    between = (x[1:] + x[:-1]) / 2 * np.diff(y)  # of half a zone, in half axes
    zones = np.diff(np.sin(np.radians(lat)))
    inner = slice(20, -20)  # at the very poles the zones are no trapezia
    np.testing.assert_allclose((between / zones)[inner], np.pi / 4, rtol=1e-3)


def test_poles_and_equator_are_projected_where_snyder_has_them() -> None:
    x, y = mollweide(np.array([180.0, 90.0, 0.0, 180.0]), np.array([0.0, 0.0, 90.0, 30.0]))

    np.testing.assert_allclose(x[:3], [1, 0.5, 0], atol=1e-3)
    np.testing.assert_allclose(y, [0, 0, 1, 0.40397], atol=1e-3)
