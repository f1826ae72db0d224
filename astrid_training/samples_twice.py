"""Samples that stand in a set more than once under several keys: a field that was entered again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Twice", "new_twice"]

STEPS_PER_DEGREE = 100_000  # 0.04 arcsec, far below any survey's pixel
SAME_MOMENT = ["survey", "band", "observation_time", "ra", "dec"]


@dataclass(frozen=True, slots=True)
class Twice:
    """Samples that show the same as another one."""

    what: str
    """pixels: the same stamp; place: the same position at the same time in the same band."""
    keys: Sequence[str]
    """Of all of them, sorted."""
    groups: int
    """How many different things they show."""
    exposures: int
    """How many observations they are of."""

    @property
    def text(self) -> str:
        """What it is, in words."""
        show = "show the same pixels" if self.what == "pixels" else "are at the same place and time"
        return (
            f"{len(self.keys):,} samples of {self.exposures:,} observations {show} as another one: "
            f"{self.groups:,} are there more than once"
        )

    def to_dict(self, most: int | None) -> dict[str, Any]:
        """Return the counts and up to `most` keys."""
        return {
            "what": self.what,
            "count": len(self.keys),
            "groups": self.groups,
            "exposures": self.exposures,
            "keys": list(self.keys[:most]),
        }


def new_twice(before: pa.Table, after: pa.Table) -> list[Twice]:
    """Return what `after` shows more than once and `before` does not.

    Args:
        before: a samples table.
        after: another one.
    """
    ways = {"pixels": (["image_digest"], _pixels), "place": (SAME_MOMENT, _moments)}
    found: list[Twice] = []
    told = pa.array([], pa.string())
    for what, (columns, look) in ways.items():
        known = _repeated(look(before), columns)["sample_key"]
        rows = _repeated(look(after), columns)
        for keys in (known, told):  # what shows the same pixels is told once
            rows = rows.filter(pc.invert(pc.is_in(rows["sample_key"], keys)))
        if rows.num_rows:
            told = rows["sample_key"]
            groups = rows.group_by(columns).aggregate([]).num_rows
            exposures = pc.count_distinct(rows["observation_id"]).as_py()
            found.append(Twice(what, sorted(told.to_pylist()), groups, exposures))
    return found


def _pixels(samples: pa.Table) -> pa.Table:
    return samples.select(["sample_key", "observation_id", "image_digest"])


def _moments(samples: pa.Table) -> pa.Table:
    told = samples.select(["sample_key", "observation_id", "survey", "observation_time"])
    told = told.append_column("band", pc.coalesce(samples["band"], pa.scalar("")))
    for name in ("ra", "dec"):
        steps = pc.round(pc.multiply(samples[f"{name}_deg"], STEPS_PER_DEGREE))
        told = told.append_column(name, steps.cast(pa.int64()))
    return told


def _repeated(told: pa.Table, columns: list[str]) -> pa.Table:
    """Return the rows that are equal to another one in `columns`, none of which is missing."""
    told = told.drop_null()
    counted = told.group_by(columns).aggregate([("sample_key", "count")])
    more = counted.filter(pc.greater(counted["sample_key_count"], 1)).select(columns)
    return told.join(more, columns, join_type="inner")
