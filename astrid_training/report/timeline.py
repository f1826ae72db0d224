"""When the samples were observed, by split: days, months or years, whichever are few enough."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pyarrow as pa

from astrid_training.report.charts import Chart, Series, Tick, Words, stacked

__all__ = ["Timeline", "timeline"]

MOST_DAYS, MOST_MONTHS = 45, 96
MOST_LABELS = 7


@dataclass(frozen=True, slots=True)
class Timeline:
    """Samples by month and split, as a table and as a picture of days, months or years."""

    chart: Chart
    months: list[tuple[str, list[int]]]
    """Month and samples of each split, months without any left out."""
    unknown: int
    """Samples without a time of observation."""


def timeline(samples: pa.Table, splits: Sequence[str]) -> Timeline | None:
    """Return when the samples were observed, None where nobody knows.

    Args:
        samples: the samples table.
        splits: in the order of the columns.
    """
    times: list[datetime | None] = samples["observation_time"].to_pylist()
    seen = [
        (time, split)
        for time, split in zip(times, samples["split"].to_pylist(), strict=True)
        if time is not None
    ]
    if not seen:
        return None
    first, last = min(seen)[0].date(), max(seen)[0].date()
    unit, bins = _bins(first, last)
    form = {"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}[unit]
    counts = Counter((f"{time:{form}}", split) for time, split in seen)
    names = [f"{day:{form}}" for day in bins]
    by_month = Counter((f"{time:%Y-%m}", split) for time, split in seen)
    months = sorted({month for month, _ in by_month})
    words = Words(
        "timeline",
        f"Samples by {unit} of observation",
        f"From {first} to {last}; the table below has the numbers by month.",
        f"{unit} of observation, UTC",
    )
    every = -(-len(names) // MOST_LABELS)
    return Timeline(
        stacked(
            words,
            range(len(names) + 1),
            [Series(split, [counts[name, split] for name in names]) for split in splits],
            ticks=[Tick(n + 0.5, names[n]) for n in range(0, len(names), every)],
        ),
        [(month, [by_month[month, split] for split in splits]) for month in months],
        len(times) - len(seen),
    )


def _bins(first: date, last: date) -> tuple[str, list[date]]:
    """Return the unit and a day in each of its bins, from the first to the last."""
    days = (last - first).days + 1
    if days <= MOST_DAYS:
        return "day", [first + timedelta(days=number) for number in range(days)]
    start, end = first.year * 12 + first.month - 1, last.year * 12 + last.month - 1
    if end - start < MOST_MONTHS:
        return "month", [date(n // 12, n % 12 + 1, 1) for n in range(start, end + 1)]
    return "year", [date(year, 1, 1) for year in range(first.year, last.year + 1)]
