"""How good a dataset is as a whole: its score, its gates, and what a person should know of it."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrid_training.gates import (
    LEAST_GROUPS,
    LEAST_MULTI_REVIEWED,
    Facts,
    Gate,
    groups_by_class,
    judge,
    kinds_by_class,
)
from astrid_training.human_quality import image_quality_ranks, spearman
from astrid_training.params import CHANNELS
from astrid_training.records import FunnelRow, TrainingSample

__all__ = ["SAMPLES", "DataQualityReport", "DataQualityValidator", "Gate"]

SAMPLES = pa.schema(
    [
        ("sample_key", pa.string()),
        ("is_anomaly", pa.bool_()),
        ("label_source", pa.string()),
        ("confidence", pa.float64()),
        ("quality_score", pa.float64()),
        ("survey", pa.string()),
        ("band", pa.string()),
        ("observation_time", pa.timestamp("us", "UTC")),
        ("split", pa.string()),
        ("group_key", pa.string()),
        ("n_validators", pa.int32()),
        ("agreement", pa.float64()),
        ("votes", pa.string()),
        *((f"{channel}_kind", pa.string()) for channel in CHANNELS),
    ]
)
"""What the validator reads of a table of samples; further columns are left alone."""

UPSIDE_DOWN = -0.2  # of the noise correlation; on 365 real alerts it is never below +0.20
UNREVIEWED = {"sky", "injected"}
WEIGHTS = {"image_quality": 0.35, "confidence": 0.30, "coverage": 0.20, "balance": 0.15}
UNSCORED = 0.5  # what a sample without a score counts
BALANCE_FROM, BALANCE_RANGE = 0.005, 40.0

Samples: TypeAlias = pa.Table | Sequence[TrainingSample]


@dataclass(frozen=True, slots=True)
class DataQualityReport:
    """Report on the quality of training data."""

    total_samples: int
    anomaly_ratio: float
    """Real ones among all samples."""
    image_quality_score: float
    """Median score of the observations, 0 to 1."""
    label_consistency: float
    """Agreeing pairs of reviewers; with few of those, the expected accuracy of the labels."""
    temporal_distribution: dict[str, Any]
    """start, end (ISO, UTC) and the number of samples by month."""
    survey_coverage: dict[str, int]
    """Samples by survey."""
    quality_score: float
    """Weighted sum of `components`, 0 to 1."""
    issues: list[str]
    """Sentences for people: failed gates first, then warnings."""
    components: dict[str, float]
    """image_quality, confidence, coverage, balance; each 0 to 1."""
    gates: list[Gate]
    mean_confidence: float
    """Of the labels that people or accepted machines gave."""
    coverage: float
    """Samples that were not dropped as unusable, of those selected."""
    balance: float
    scored: int
    """Samples whose observation could be scored."""
    overrides: list[str] = field(default_factory=list)
    """Parameters that let a gate through whose condition does not hold."""
    consistency: dict[str, Any] = field(default_factory=dict)
    """Over all reviewed subjects: n_multi, pair_agreement, alpha, contradiction_rate, flip_rate;
    None where not known."""
    human_image_quality: dict[str, Any] = field(default_factory=dict)
    """spearman: rank correlation of the score with what people said of the image, None if
    unknown; n: samples of which they said it."""
    observing: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By metric: known, median, beyond_limit; see `quality.observing`."""
    references: dict[str, dict[str, dict[str, float | None]]] = field(default_factory=dict)
    """By survey and band: what was taken for usual."""

    @property
    def passed(self) -> bool:
        """Whether every gate let the dataset through."""
        return all(gate.passed for gate in self.gates)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)


class DataQualityValidator:
    """Validator for training data quality."""

    def __init__(
        self,
        quality_score_threshold: float = 0.8,
        selected: int | None = None,
        dropped_unusable: int = 0,
        *,
        overrides: Collection[str] = (),
        channels: Sequence[str] = CHANNELS,
        consistency: Mapping[str, Any] | None = None,
        drops: Sequence[FunnelRow] = (),
    ) -> None:
        """Say what the samples alone do not tell.

        Args:
            quality_score_threshold: least score of a dataset.
            selected: subjects before unusable ones were dropped; None: samples and drops together.
            dropped_unusable: subjects dropped for their files or pixels.
            overrides: names of `params.OVERRIDES` that are set.
            channels: images that the dataset stores.
            consistency: of the reviews of all subjects, as in `DataQualityReport.consistency`.
            drops: what left, by reason, to say why a dataset is empty.
        """
        self._threshold = quality_score_threshold
        self._selected = selected
        self._dropped = dropped_unusable
        self._overrides = frozenset(overrides)
        self._channels = tuple(channels)
        self._consistency = dict(consistency or {})
        self._drops = tuple(drops)

    def validate_training_data(self, samples: Samples) -> DataQualityReport:
        """Return the report on a dataset, its gates judged.

        Args:
            samples: a table with the columns of `SAMPLES` (`votes` and the kinds may lack), or samples of a
                published dataset.
        """
        table = _as_table(samples)
        facts = self._facts(table)
        gates = judge(facts, self._overrides)
        scored = table.num_rows - table["quality_score"].null_count
        failed = [gate.detail for gate in gates if not gate.passed]
        return DataQualityReport(
            total_samples=table.num_rows,
            anomaly_ratio=self.check_anomaly_ratio(table),
            image_quality_score=facts.components["image_quality"],
            label_consistency=self.validate_label_consistency(table),
            temporal_distribution=_over_time(table["observation_time"].to_pylist()),
            survey_coverage=_counts(table["survey"].to_pylist()),
            quality_score=facts.score,
            issues=failed + _warnings(table, scored),
            components=dict(facts.components),
            gates=gates,
            mean_confidence=facts.confidence,
            coverage=facts.coverage,
            balance=facts.components["balance"],
            scored=scored,
            overrides=sorted(
                {gate.overridden_by for gate in gates if gate.passed and gate.overridden_by}
            ),
            consistency=self._consistency,
            human_image_quality=_human_image_quality(table),
        )

    def _facts(self, table: pa.Table) -> Facts:
        real, bogus = _reviewed_counts(table)
        confidence = _mean_confidence(table)
        coverage = self._coverage(table.num_rows)
        components = {
            "image_quality": self.assess_image_quality(table),
            "confidence": float(np.clip((confidence - 0.5) / 0.4, 0, 1)),
            "coverage": coverage,
            "balance": _balance(real, bogus),
        }
        score = sum(WEIGHTS[name] * value for name, value in components.items())
        return Facts(
            samples=table,
            real=real,
            bogus=bogus,
            confidence=confidence,
            coverage=coverage,
            components=components,
            score=score if table.num_rows else 0.0,
            threshold=self._threshold,
            channels=self._channels,
            consistency=self._consistency,
            drops=self._drops,
        )

    def check_anomaly_ratio(self, samples: Samples) -> float:
        """Return the share of real ones among all samples, 0 where there are none."""
        real = _as_table(samples)["is_anomaly"].to_pylist()
        return sum(map(bool, real)) / len(real) if real else 0.0

    def assess_image_quality(self, samples: Samples) -> float:
        """Return the median score of the observations; a sample without one counts 0.5."""
        scores = _numbers(_as_table(samples), "quality_score")
        return (
            float(np.median(np.where(np.isnan(scores), UNSCORED, scores))) if scores.size else 0.0
        )

    def validate_label_consistency(self, samples: Samples) -> float:
        """Return the share of pairs of reviewers that agree, over all subjects with several.

        With fewer than 20 such subjects, the mean confidence of the labels stands in for it.
        """
        table = _as_table(samples)
        reviewers, agreement = (
            _numbers(table, "n_validators"),
            _numbers(table, "agreement"),
        )
        several = (reviewers >= 2) & ~np.isnan(agreement)
        if several.sum() < LEAST_MULTI_REVIEWED:
            return _mean_confidence(table)
        pairs = reviewers[several] * (reviewers[several] - 1) / 2
        return float((agreement[several] * pairs).sum() / pairs.sum())

    def _coverage(self, kept: int) -> float:
        selected = kept + self._dropped if self._selected is None else self._selected
        return 1 - self._dropped / selected if selected else 0.0


def _warnings(table: pa.Table, scored: int) -> list[str]:
    found = []
    if scored < table.num_rows:
        found.append(
            f"{table.num_rows - scored} of {table.num_rows} observations could not be scored and "
            f"count {UNSCORED}; headers with seeing, zero point and noise would change that"
        )
    found += [*_upside_down(table), *_by_machines(table), *_several_kinds(table)]
    groups = groups_by_class(table)
    for split in ("val", "test"):
        for real, name in ((True, "real"), (False, "rejected")):
            count = len(groups[split, real])
            if count < LEAST_GROUPS:
                found.append(f"{split} holds {count} {name} sky groups: metrics there mean little")
    return found


def _upside_down(table: pa.Table) -> Iterator[str]:
    if "difference_correlation" not in table.column_names:
        return
    against = int((_numbers(table, "difference_correlation") < UPSIDE_DOWN).sum())
    if against:
        yield (
            f"{against} of {table.num_rows} differences seem to hold reference minus science: their "
            "noise runs against that of science; correct difference_sign in the survey's profile"
        )


def _by_machines(table: pa.Table) -> Iterator[str]:
    sources = table["label_source"].to_pylist()
    machines = sources.count("machine")
    if machines:
        yield (
            f"{machines} of {table.num_rows} labels were made by machines (a catalogue, an ephemeris "
            "or a score) and never looked at by a person"
        )


def _several_kinds(table: pa.Table) -> Iterator[str]:
    for channel in CHANNELS:
        if f"{channel}_kind" in table.column_names and table.num_rows:
            kinds = sum(kinds_by_class(table, channel).values(), Counter())
            if len(kinds) > 1:
                told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
                yield (
                    f"{channel} images are of several kinds ({told}): expect a model to do worse on the "
                    "rarer ones; source_policy leaves one"
                )


def _human_image_quality(table: pa.Table) -> dict[str, Any]:
    if "votes" not in table.column_names:
        return {"spearman": None, "n": 0}
    said = image_quality_ranks(table["votes"].to_pylist())
    scores = _numbers(table, "quality_score")
    both = ~np.isnan(said) & ~np.isnan(scores)
    return {"spearman": spearman(scores[both], said[both]), "n": int(both.sum())}


def _reviewed_counts(table: pa.Table) -> tuple[int, int]:
    """Return how many real and how many rejected samples somebody reviewed."""
    sources, labels = table["label_source"].to_pylist(), table["is_anomaly"].to_pylist()
    reviewed = [
        bool(real) for source, real in zip(sources, labels, strict=True) if source not in UNREVIEWED
    ]
    return sum(reviewed), len(reviewed) - sum(reviewed)


def _mean_confidence(table: pa.Table) -> float:
    reviewed = np.array([source not in UNREVIEWED for source in table["label_source"].to_pylist()])
    values = _numbers(table, "confidence")
    values = values[reviewed & ~np.isnan(values)] if values.size else values
    return float(values.mean()) if values.size else 0.0


def _balance(real: int, bogus: int) -> float:
    """Return 1 for an even set, 0 where the rarer kind is 0.5 % of the reviewed or less."""
    rarer = min(real, bogus)
    if not rarer:
        return 0.0
    share = rarer / (real + bogus)
    return float(np.clip(np.log(share / BALANCE_FROM) / np.log(BALANCE_RANGE), 0, 1))


def _over_time(times: Sequence[datetime | None]) -> dict[str, Any]:
    known = sorted(time for time in times if time is not None)
    if not known:
        return {"start": None, "end": None, "months": {}}
    return {
        "start": known[0].isoformat(),
        "end": known[-1].isoformat(),
        "months": _counts([f"{time:%Y-%m}" for time in known]),
    }


def _counts(names: Sequence[str]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names))}


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    values: NDArray[np.float64] = table[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def _as_table(samples: Samples) -> pa.Table:
    """Return the samples as a table; of records, labels and metadata are looked through."""
    if isinstance(samples, pa.Table):
        return samples
    rows = []
    for sample in samples:
        row = sample.metadata | sample.labels | {"split": sample.split}
        row["votes"] = json.dumps(row.get("votes", []))
        row |= {"sample_key": sample.sample_key, "group_key": sample.group_key}
        time = row.get("observation_time")
        row["observation_time"] = datetime.fromisoformat(time) if isinstance(time, str) else time
        rows.append(row)
    told = {name for row in rows for name in row}
    names = [name for name in SAMPLES.names if name in told or not name.endswith("_kind")]
    return pa.Table.from_pylist(rows, schema=SAMPLES).select(names)
