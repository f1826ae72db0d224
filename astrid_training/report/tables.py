"""The numbers of the report's tables, counted from the samples."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from astrid_training.params import TrainingDataCollectionParams
from astrid_training.reasons import explain
from astrid_training.records import FunnelRow, TrainingDataset
from astrid_training.report.context import RejectExample
from astrid_training.samples import SPLITS, class_names
from astrid_training.samples_twice import new_twice

if TYPE_CHECKING:
    from astrid_training.compare import Comparison
    from astrid_training.drift import Drift

__all__ = [
    "KINDS",
    "Against",
    "Cell",
    "FunnelLine",
    "Trust",
    "absent_surveys",
    "against_model",
    "asked_for",
    "class_cells",
    "drift_lines",
    "examples_by_line",
    "funnel_lines",
    "kinds",
    "shown_twice",
    "split_columns",
    "survey_cells",
    "trust",
]

_Named = tuple[str, str, str]
"""Kind, class and split of a sample."""
KINDS = ("real", "rejected", "sky")
MODEL_SAYS_REAL = 0.5
MOST_DRIFTS = 20


@dataclass(frozen=True, slots=True)
class FunnelLine:
    """One line of the funnel as it is read from top to bottom."""

    step: str
    reason: str
    meaning: str
    """What the reason means and what to do about it; empty for selected and kept."""
    count: int
    """Subjects that were selected, that left, or that are kept."""
    remaining: int
    """Subjects still there after this line."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Samples of one class by split."""

    name: str
    kind: str
    """real, rejected or sky."""
    counts: list[int]
    """In the order of `split_columns`."""
    total: int


@dataclass(frozen=True, slots=True)
class Trust:
    """Whether the dataset met its conditions."""

    mark: str
    """good, bad or quiet, where nothing is known."""
    words: str
    let_through: list[str] = field(default_factory=list)
    """The facts of conditions that do not hold and were overridden."""


@dataclass(frozen=True, slots=True)
class Against:
    """Where the model, by its score, says otherwise than the people."""

    scored: int
    """Samples that people labelled and the model scored."""
    real_below: int
    """People say real, the model's score is below a half."""
    rejected_above: int

    @property
    def share(self) -> float | None:
        """Of the scored."""
        return (self.real_below + self.rejected_above) / self.scored if self.scored else None


def funnel_lines(funnel: Sequence[FunnelRow]) -> list[FunnelLine]:
    """Return the funnel from selected, through every drop, to kept.

    The numbers add up when the last line's count is what remains.
    """
    ends = {"selected", "kept"}
    remaining = sum(row.count for row in funnel if row.reason == "selected")
    lines = []
    for row in funnel:
        remaining -= 0 if row.reason in ends else row.count
        meaning = "" if row.reason in ends else explain(row.reason)
        lines.append(FunnelLine(row.step, row.reason, meaning, row.count, remaining))
    return lines


def examples_by_line(
    lines: Sequence[FunnelLine], rejects: Sequence[RejectExample]
) -> list[tuple[FunnelLine, list[RejectExample]]]:
    """Return the lines of the funnel of which there are examples, each with them."""
    of: dict[tuple[str, str], list[RejectExample]] = {}
    for one in rejects:
        of.setdefault((one.step, one.reason), []).append(one)
    known = [(line, of.get((line.step, line.reason), [])) for line in lines]
    return [(line, examples) for line, examples in known if examples]


def trust(dataset: TrainingDataset) -> Trust:
    """Return whether the dataset met its conditions, and which of them were let through."""
    gates = dataset.quality_report.get("gates", ())
    through = [gate["detail"] for gate in gates if gate["passed"] and gate.get("overridden_by")]
    failed = [gate["detail"] for gate in gates if not gate["passed"]]
    if dataset.status == "revoked":
        return Trust("bad", "Revoked: somebody withdrew it; do not train on it.", failed + through)
    if failed:
        return Trust("bad", f"{len(failed)} of {len(gates)} conditions failed.", failed + through)
    if through:
        told = f"{len(through)} of {len(gates)} conditions do not hold and were let through."
        return Trust("bad", told, through)
    if not gates:
        return Trust("quiet", "No condition was judged.")
    return Trust("good", f"All {len(gates)} conditions hold; none was let through.")


def kinds(samples: pa.Table) -> list[str]:
    """Return per sample real, rejected or sky, which nobody reviewed."""
    of_label = zip(
        samples["label_source"].to_pylist(), samples["is_anomaly"].to_pylist(), strict=True
    )
    return [
        "sky" if source == "sky" else "real" if real else "rejected" for source, real in of_label
    ]


def split_columns(samples: pa.Table) -> list[str]:
    """Return train, val and test, then what else the samples are in."""
    present = set(samples["split"].unique().to_pylist())
    return [*SPLITS, *sorted(present - set(SPLITS))]


def class_cells(samples: pa.Table) -> list[Cell]:
    """Return the samples by class and split: real ones first, the most frequent first."""
    return _cells(_named(samples), split_columns(samples))


def survey_cells(samples: pa.Table) -> list[tuple[str, list[Cell]]]:
    """Return the samples of each survey and band, by class and split as in `class_cells`."""
    surveys, bands = samples["survey"].to_pylist(), samples["band"].to_pylist()
    of: dict[tuple[str, str], list[_Named]] = {}
    for survey, band, named in zip(surveys, bands, _named(samples), strict=True):
        of.setdefault((survey, band or ""), []).append(named)
    columns = split_columns(samples)
    return [
        (f"{survey}, band {band}" if band else survey, _cells(of[survey, band], columns))
        for survey, band in sorted(of)
    ]


def _named(samples: pa.Table) -> list[_Named]:
    return list(
        zip(kinds(samples), class_names(samples), samples["split"].to_pylist(), strict=True)
    )


def _cells(named: Sequence[_Named], columns: Sequence[str]) -> list[Cell]:
    counts = Counter(named)
    totals = Counter((kind, name) for kind, name, _ in named)
    order = sorted(totals, key=lambda key: (KINDS.index(key[0]), -totals[key], key[1]))
    return [
        Cell(name, kind, [counts[kind, name, split] for split in columns], totals[kind, name])
        for kind, name in order
    ]


def absent_surveys(samples: pa.Table, params: Mapping[str, Any]) -> list[str]:
    """Return the surveys that were asked for and of which there is no sample."""
    there = set(samples["survey"].unique().to_pylist())
    return sorted(set(params.get("survey_ids") or ()) - there)


def shown_twice(samples: pa.Table) -> list[str]:
    """Return in words which samples show the same as others, whatever their splits."""
    return [one.text for one in new_twice(samples.slice(0, 0), samples)]


def against_model(samples: pa.Table) -> Against:
    """Return where people and model differ, of the samples that both judged."""
    rows = zip(
        samples["label_source"].to_pylist(),
        samples["is_anomaly"].to_pylist(),
        samples["model_score"].to_pylist(),
        strict=True,
    )
    judged = [
        (real, score >= MODEL_SAYS_REAL)
        for source, real, score in rows
        if source == "human" and score is not None
    ]
    counts = Counter(judged)
    return Against(len(judged), counts[True, False], counts[False, True])


def drift_lines(found: "Comparison") -> "list[Drift]":
    """Return the tests that say more than chance: what matters first, then the farthest moved."""
    significant = [test for test in found.drifts if test.significant]
    return sorted(significant, key=lambda test: (not test.material, -test.psi))[:MOST_DRIFTS]


def asked_for(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that differ from their defaults, sorted by name."""
    usual = TrainingDataCollectionParams().model_dump(mode="json")
    return {
        name: value
        for name, value in sorted(params.items())
        if _plain(value) != _plain(usual.get(name))
    }


def _plain(value: object) -> object:
    """Return JSON values with all numbers alike: the database gives 1e30 back as an integer."""
    return json.loads(json.dumps(value), parse_int=float)
