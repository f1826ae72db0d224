"""A band departs when its newest exposures, as a whole, lie outside what the ones before were."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from astrid_training.rolling import departures

START = datetime(2024, 5, 1, tzinfo=UTC)


def table(values: list[float], band: str = "g", metric: str = "fwhm_px") -> pa.Table:
    """Return two samples an exposure, in no order of time."""
    rows = [
        {
            "survey": "ztf",
            "band": band,
            "observation_id": f"{band}{number}",
            "observation_time": START + timedelta(hours=number),
            metric: value + shift,
        }
        for number, value in enumerate(values)
        for shift in (-0.01, 0.01)
    ]
    order = np.random.default_rng(0).permutation(len(rows))
    return pa.Table.from_pylist([rows[n] for n in order])


def usual(count: int) -> list[float]:
    return list(2 + 0.1 * np.sin(np.arange(count)))


def test_the_usual_is_no_departure() -> None:
    assert departures(table(usual(60)), 10, 200, 5) == []


def test_newest_exposures_that_are_wider_depart_in_their_band_alone() -> None:
    wide = table(usual(50) + [3.0] * 10)
    both = pa.concat_tables([wide, table(usual(60), band="r")])

    (found,) = departures(both, 10, 200, 5)

    assert (found.survey, found.band, found.metric) == ("ztf", "g", "fwhm_px")
    assert found.recent == pytest.approx(3.0)
    assert found.low < 2 < found.high < 3


@pytest.mark.parametrize("bad", [1, 4])
def test_a_bad_night_among_them_is_none(bad: int) -> None:
    assert departures(table(usual(60 - bad) + [9.0] * bad), 10, 200, 5) == []


def test_of_few_exposures_nobody_knows_what_is_usual() -> None:
    assert departures(table(usual(19) + [9.0] * 10), 10, 200, 5) == []
    assert departures(table(usual(20) + [9.0] * 10), 10, 200, 5)


def test_what_lies_before_the_window_does_not_count() -> None:
    changed = [9.0] * 100 + usual(40)

    assert departures(table(changed), 10, 30, 5) == []


def test_unknown_values_are_left_out() -> None:
    values = usual(50) + [3.0] * 10
    values[5] = float("nan")

    assert len(departures(table(values), 10, 200, 5)) == 1
    assert departures(table([float("nan")] * 60), 10, 200, 5) == []
