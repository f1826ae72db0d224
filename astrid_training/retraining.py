"""Whether it is time to train again: what a newer dataset has that the last training had not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from astrid_training.catalogue import get_dataset
from astrid_training.compare import compare
from astrid_training.database import query, reading
from astrid_training.errors import DatasetNotFoundError
from astrid_training.samples import class_names, read_samples
from astrid_training.workplace import Workplace

__all__ = ["Criterion", "RetrainParams", "Verdict", "judge", "judge_retraining"]

Decision = Literal["train", "not_yet", "cooling_down", "nothing_new"]


class RetrainParams(BaseModel):
    """When to train again."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Retraining")

    name: str = Field(
        "validated-detections", min_length=1, max_length=200, description="Name of the datasets."
    )
    gold_labels: int = Field(
        200,
        ge=1,
        description="So many new gold labels are reason enough, or `gold_share`, if more.",
    )
    gold_share: float = Field(
        0.05,
        gt=0,
        le=1,
        description="Share of the samples that were trained on, see `gold_labels`.",
    )
    class_groups: int = Field(
        30, ge=1, description="A class that has come to so many places on the sky is reason enough."
    )
    cooldown_hours: float = Field(
        24.0, ge=0, description="After a training began, so long none is started."
    )
    dry_run: bool = Field(default=True, description="Only tell what would be done.")


@dataclass(frozen=True, slots=True)
class Criterion:
    """One reason to train again, and whether it holds."""

    name: str
    """first, gold_labels, drift or class."""
    holds: bool
    detail: str
    """A sentence for people."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to train on the newest dataset of a name."""

    decision: Decision
    dataset_id: str
    """The newest active one."""
    trained_on: str | None
    """Of the last completed training; None: there is none."""
    criteria: Sequence[Criterion]

    @property
    def message(self) -> str:
        """What is decided, in a sentence."""
        reasons = "; ".join(one.detail for one in self.criteria if one.holds)
        return {
            "train": f"train on {self.dataset_id}: {reasons}",
            "cooling_down": f"a training began too recently, else: {reasons}",
            "not_yet": f"nothing asks for a training on {self.dataset_id}",
            "nothing_new": f"{self.dataset_id} has been trained on",
        }[self.decision]


def judge_retraining(place: Workplace, params: RetrainParams, now: datetime) -> Verdict:
    """Hold the newest dataset of a name against the one that was trained on last.

    Args:
        place: where rows and tables are.
        params: what is reason enough.
        now: for the cooldown.

    Raises:
        DatasetNotFoundError: if no dataset has the name.
    """
    engine, store = place.database(), place.store()
    with reading(engine) as connection:
        state = connection.execute(query("retraining_state"), {"name": params.name}).one()
    if state.newest is None:
        raise DatasetNotFoundError(
            f"no active dataset {params.name!r}; collect one, or give another name"
        )
    if state.newest == state.trained:
        return Verdict("nothing_new", state.newest, state.trained, [])
    newest = read_samples(store, get_dataset(engine, state.newest).samples_key)
    trained = None
    if state.trained is not None:
        trained = read_samples(store, get_dataset(engine, state.trained).samples_key)
    criteria = judge(trained, newest, params)
    decision: Decision = "train" if any(one.holds for one in criteria) else "not_yet"
    cool = timedelta(hours=params.cooldown_hours)
    if decision == "train" and state.last_began is not None and now - state.last_began < cool:
        decision = "cooling_down"
    return Verdict(decision, state.newest, state.trained, criteria)


def judge(before: pa.Table | None, after: pa.Table, params: RetrainParams) -> list[Criterion]:
    """Return each reason to train again, and whether it holds.

    Args:
        before: samples that were trained on last; None: nothing was.
        after: samples of the newer dataset.
        params: what is reason enough.
    """
    if before is None:
        return [Criterion("first", holds=True, detail="nothing was trained on yet")]
    return [_gold(before, after, params), _drift(before, after), _classes(before, after, params)]


def _gold(before: pa.Table, after: pa.Table, params: RetrainParams) -> Criterion:
    """Count gold labels that were not there: of new samples, changed, or not yet gold."""
    seen, here = _gold_labels(before), _gold_labels(after)
    new = here.num_rows - here.join(seen, keys=["sample_key", "class"], join_type="inner").num_rows
    trained = int(pc.sum(pc.equal(before["split"], "train")).as_py() or 0)
    enough = max(params.gold_labels, int(np.ceil(params.gold_share * trained)))
    return Criterion(
        "gold_labels", holds=new >= enough, detail=f"{new} new gold labels, {enough} are enough"
    )


def _gold_labels(samples: pa.Table) -> pa.Table:
    table = samples.select(["sample_key", "tier"])
    table = table.append_column("class", pa.array(class_names(samples), pa.string()))
    return table.filter(pc.equal(table["tier"], "gold")).select(["sample_key", "class"])


def _drift(before: pa.Table, after: pa.Table) -> Criterion:
    drifted = [one for one in compare(before, after).drifts if one.counts]
    told = ", ".join(f"{one.where} {one.column}" for one in drifted[:3])
    more = f" and {len(drifted) - 3} more" if len(drifted) > 3 else ""
    detail = f"significant and material drift: {told}{more}" if drifted else "no material drift"
    return Criterion("drift", holds=bool(drifted), detail=detail)


def _classes(before: pa.Table, after: pa.Table, params: RetrainParams) -> Criterion:
    seen, here = _groups(before), _groups(after)
    least = params.class_groups
    new = [name for name in sorted(here) if here[name] >= least > seen.get(name, 0)]
    detail = f"no class has come to {least} places on the sky"
    if new:
        detail = f"{', '.join(new)} came to {least} places on the sky"
    return Criterion("class", holds=bool(new), detail=detail)


def _groups(samples: pa.Table) -> dict[str, int]:
    """Return on how many places of the sky each real class was seen."""
    real = samples.filter(samples["is_anomaly"])
    table = pa.table(
        {"class": pa.array(class_names(real), pa.string()), "group": real["group_key"]}
    )
    found = table.group_by("class").aggregate([("group", "count_distinct")])
    return dict(
        zip(found["class"].to_pylist(), found["group_count_distinct"].to_pylist(), strict=True)
    )
