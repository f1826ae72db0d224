"""Samples are counted by day, month or year, so that there is always something to see."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from astrid_training.report.timeline import timeline

START = datetime(2023, 12, 30, 23, 30, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")


def _samples(times: list[datetime | None], splits: list[str]) -> pa.Table:
    return pa.table({"observation_time": pa.array(times, TIME), "split": splits})


@pytest.mark.parametrize(
    ("days", "unit", "bars", "first"),
    [(3, "day", 3, "2023-12-30"), (200, "month", 8, "2023-12"), (4000, "year", 12, "2023")],
)
def test_the_unit_suits_the_time_that_the_samples_span(
    days: int, unit: str, bars: int, first: str
) -> None:
    times: list[datetime | None] = [START + timedelta(days=number) for number in range(days)]

    found = timeline(_samples(times, ["train"] * days), ["train"])

    assert found is not None
    assert found.chart.words.title == f"Samples by {unit} of observation"
    assert len(found.chart.bars) == bars
    assert found.chart.x_ticks[0].words == first
    assert sum(counts[0] for _, counts in found.months) == days


def test_months_are_told_split_by_split_and_missing_times_beside() -> None:
    later = START + timedelta(days=3)

    found = timeline(
        _samples([START, later, later, None], ["train", "val", "train", "test"]),
        ["train", "val", "test"],
    )

    assert found is not None
    assert found.months == [("2023-12", [1, 0, 0]), ("2024-01", [1, 1, 0])]
    assert found.unknown == 1


def test_where_no_time_is_known_there_is_no_picture() -> None:
    assert timeline(_samples([None], ["train"]), ["train"]) is None
