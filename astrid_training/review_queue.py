"""What people should review next: what the labels would gain most from, and a share that chance draws.

Whoever reviews sees neither scores nor why an item is there: the drawn ones tell how good labels and
model are where nothing was chosen, which holds only as long as nobody can tell them apart.
"""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine

from astrid_training.database import fetch_table, query, reading
from astrid_training.digests import digest_value
from astrid_training.errors import CollectionRefusedError
from astrid_training.labels import Labels, label_subjects
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.review_params import ReviewQueueParams
from astrid_training.reviewed import DECIDED, Reviewed, join_by_scale, reviewed_subjects
from astrid_training.scope import Scope, fetch_scope, scope_values
from astrid_training.taxonomy import taxonomy

__all__ = [
    "QueueItem",
    "QueueNotFoundError",
    "ReviewQueue",
    "ReviewQueueParams",
    "as_csv",
    "make_review_queue",
    "read_review_queue",
]

SPARE, BESIDES = 4, 200
"""Candidates that are looked at for each place, and beside them: some turn out to be one thing, or one that
somebody has reviewed by another view of it."""

UNREVIEWED = pa.schema(
    [
        ("detection_id", pa.string()),
        ("observation_id", pa.string()),
        ("ra_deg", pa.float64()),
        ("dec_deg", pa.float64()),
        ("kind", pa.string()),
        ("model_score", pa.float64()),
        ("survey", pa.string()),
        ("band", pa.string()),
        ("observation_time", pa.timestamp("us", "UTC")),
        ("seeing_arcsec", pa.float64()),
        ("pixel_scale", pa.float64()),
        ("uncertainty", pa.float64()),
        ("rarity", pa.float64()),
        ("drawn", pa.bool_()),
    ]
)
"""What the query queue_unreviewed tells."""

PLACES = [
    "detection_id",
    "observation_id",
    "ra_deg",
    "dec_deg",
    "survey",
    "seeing_arcsec",
    "pixel_scale",
]

Floats = NDArray[np.float64]


class QueueNotFoundError(LookupError):
    """There is no such review queue."""


@dataclass(frozen=True, slots=True)
class QueueItem:
    """A detection that somebody should look at."""

    position: int
    """From 1, in an order that says nothing."""
    detection_id: str
    observation_id: str
    survey: str
    band: str
    observation_time: datetime
    ra_deg: float
    dec_deg: float
    selected_for: Literal["queue", "random_audit"]
    score: float
    """uncertainty + 0.5 disagreement + rarity."""
    uncertainty: float
    """Bits that are not known of whether it is real, 0 to 1: of p_real, else of the model's score."""
    disagreement: float
    """|p_real - model_score|; 0 where either is not known."""
    rarity: float
    """1 for a class that nobody has named, falling to 0 at `rare_below` subjects."""
    p_real: float | None
    """From the reviews alone; None where there is none."""
    model_score: float | None
    n_votes: int
    class_: str | None
    """What reviewers named, else what the model guesses."""
    reviewed: bool = False
    """Whether somebody has reviewed it since."""


BLIND = (
    *("position", "detection_id", "observation_id", "survey", "band", "observation_time"),
    *("ra_deg", "dec_deg"),
)
"""What a reviewer may know of an item."""


@dataclass(frozen=True, slots=True)
class ReviewQueue:
    """What people are asked to look at, in this order."""

    id: str
    as_of: datetime
    params: ReviewQueueParams
    created_by: str
    items: list[QueueItem]

    def to_dict(self, *, reasons: bool) -> dict[str, Any]:
        """Return it as JSON values.

        Args:
            reasons: whether scores and why an item is in are told; never to who reviews.
        """
        return {
            "queue_id": self.id,
            "as_of": self.as_of.isoformat(),
            "params": self.params.model_dump(mode="json"),
            "created_by": self.created_by,
            "items": [_told(one, reasons=reasons) for one in self.items],
        }


def as_csv(queue: ReviewQueue, *, reasons: bool) -> str:
    """Return the queue as CSV with a header; see `ReviewQueue.to_dict`."""
    rows = [_told(one, reasons=reasons) for one in queue.items]
    names = rows[0].keys() if rows else BLIND
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def make_review_queue(
    engine: Engine, params: ReviewQueueParams, as_of: datetime, created_by: str
) -> ReviewQueue:
    """Choose what to review, keep it, and return it.

    Of detections nobody reviewed the model's score says how unsure one is; of reviewed ones without a
    gold label, the reviews do. Of one thing in one observation at most one detection is chosen. The
    reviews that follow are known by what is kept here: `selected_for` of their samples says why.

    Args:
        engine: of the database.
        params: what to choose from, and how much.
        as_of: reviews and detections up to here are looked at.
        created_by: for whom.

    Raises:
        CollectionRefusedError: if a survey does not exist, or nothing is left to review.
    """
    with reading(engine) as connection:
        chosen = _choose(connection, params, as_of)
        if not chosen:
            raise CollectionRefusedError(
                "nothing is left to review here; widen surveys or dates, or lower repeat_after_days"
            )
        queue_id = str(uuid4())
        connection.execute(
            query("queue_add"),
            {
                "id": queue_id,
                "as_of": as_of,
                "params": params.model_dump_json(),
                "created_by": created_by,
            },
        )
        rows = [
            {"queue_id": queue_id, "position": place, **row}
            for place, row in enumerate(chosen, start=1)
        ]
        connection.execute(query("queue_add_items"), rows)
        connection.commit()
    return read_review_queue(engine, queue_id)


def read_review_queue(engine: Engine, queue_id: str) -> ReviewQueue:
    """Return a queue that was made, with what has been reviewed of it since.

    Raises:
        QueueNotFoundError: if there is none of this id.
    """
    try:
        wanted = {"id": UUID(queue_id)}
    except ValueError:
        raise QueueNotFoundError(f"{queue_id!r} is no id of a review queue") from None
    with reading(engine) as connection:
        row = connection.execute(query("queue_get"), wanted).one_or_none()
        if row is None:
            raise QueueNotFoundError(f"no review queue {queue_id}; make one first")
        found = connection.execute(query("queue_items"), wanted).mappings().all()
    items = [_item(dict(one)) for one in found]
    params = ReviewQueueParams(**row.params)
    return ReviewQueue(str(row.id), row.as_of, params, row.created_by, items)


def _item(row: dict[str, Any]) -> QueueItem:
    for name in ("detection_id", "observation_id"):
        row[name] = str(row[name])
    return QueueItem(class_=row.pop("class"), **row)


def _choose(
    connection: Connection, params: ReviewQueueParams, as_of: datetime
) -> list[dict[str, Any]]:
    """Return the rows of the items, in the order in which they are shown."""
    asked = TrainingDataCollectionParams(
        name="review queue",
        survey_ids=params.survey_ids,
        date_range=params.date_range,
        bands=params.bands,
    )
    scope = fetch_scope(connection, asked, as_of)
    subjects = reviewed_subjects(scope, None)
    labels, _ = label_subjects(subjects.votes, len(subjects), taxonomy())
    rarity = _rarities(labels, params.rare_below)
    since = as_of - timedelta(days=params.repeat_after_days)
    shown = {
        str(row.detection_id) for row in connection.execute(query("queue_shown"), {"since": since})
    }
    drawn = math.ceil(params.audit_share * params.count)
    kinds = _by_detection_type(rarity)
    values = {
        **scope_values(connection, asked, as_of),
        "since": since,
        "salt": f"{params.salt}|{as_of.isoformat()}",
        "most": SPARE * params.count + BESIDES,
        "drawn": SPARE * drawn + BESIDES,
        "kinds": list(kinds),
        "rarities": list(kinds.values()),
    }
    found = fetch_table(connection, "queue_unreviewed", values, UNREVIEWED)
    unreviewed = _unreviewed_rows(found, scope)
    audit = sorted((row for row in unreviewed if row["drawn"]), key=_by_chance(values["salt"]))[
        :drawn
    ]
    taken = {row["detection_id"] for row in audit}
    rest = [
        row
        for row in [*unreviewed, *_doubtful_rows(subjects, labels, rarity)]
        if row["detection_id"] not in taken | shown
    ]
    best = sorted(rest, key=lambda row: (-row["score"], row["detection_id"]))
    rows = [{**row, "selected_for": "random_audit"} for row in audit]
    rows += [{**row, "selected_for": "queue"} for row in best[: params.count - len(audit)]]
    return sorted(rows, key=_by_chance(f"shown|{values['salt']}"))


def _by_chance(salt: str) -> Any:  # noqa: ANN401 - a key of `sorted`
    return lambda row: digest_value([salt, row["detection_id"]])


def _rarities(labels: Labels, rare_below: int) -> dict[str, float]:
    """Return how rare each real class is among the reviewed subjects, 0 to 1."""
    real = labels.is_anomaly & (labels.problem == "")
    names, counts = np.unique(labels.anomaly_type[real], return_counts=True)
    seen = dict(zip(names.tolist(), counts.tolist(), strict=True))
    return {name: max(0.0, 1 - seen.get(name, 0) / rare_below) for name in taxonomy().real_classes}


def _by_detection_type(rarity: dict[str, float]) -> dict[str, float]:
    """Return the rarity of what the model can guess, by AstrID's word for it."""
    words = {kind: taxonomy().meaning(kind).name for kind in DETECTION_TYPES}
    return {kind: rarity[name] for kind, name in words.items() if name in rarity}


DETECTION_TYPES = ("SUPERNOVA", "VARIABLE", "TRANSIENT")
"""Those of AstrID's enumeration that mean a real class."""


def _unreviewed_rows(found: pa.Table, scope: Scope) -> list[dict[str, Any]]:
    """Return one row of each thing that was found, unless somebody reviewed another view of it."""
    voted = set(scope.reviews["detection_id"].to_pylist()) | _decided(scope.detections)
    rows = found.to_pylist()
    near = scope.detections.select(PLACES)
    new = ~np.isin(found["detection_id"].to_numpy(), near["detection_id"].to_numpy())
    both = pa.concat_tables([near, found.select(PLACES).filter(pa.array(new))])
    both = both.sort_by([("observation_id", "ascending"), ("detection_id", "ascending")])
    subject = dict(zip(both["detection_id"].to_pylist(), join_by_scale(both).tolist(), strict=True))
    known = {subject[one] for one in voted if one in subject}
    best: dict[int, dict[str, Any]] = {}
    for row in rows:
        number = subject[row["detection_id"]]
        if number in known:
            continue
        kept = best.setdefault(number, _unreviewed(row))
        kept["drawn"] |= row["drawn"]
    return list(best.values())


def _decided(detections: pa.Table) -> set[str]:
    decided = detections.filter(pc.is_in(detections["status"], pa.array(DECIDED)))
    return set(decided["detection_id"].to_pylist())


def _unreviewed(row: dict[str, Any]) -> dict[str, Any]:
    score = row["uncertainty"] + row["rarity"]
    return _entry(row["detection_id"], score, row["uncertainty"], 0.0, row["rarity"]) | {
        "model_score": row["model_score"],
        "class": taxonomy().meaning(row["kind"]).name,
        "drawn": row["drawn"],
    }


def _doubtful_rows(
    subjects: Reviewed, labels: Labels, rarity: dict[str, float]
) -> Iterable[dict[str, Any]]:
    """Yield a row of each reviewed subject whose label is not gold."""
    p = labels.p_real
    uncertainty = _bits(p)
    apart = np.nan_to_num(np.abs(p - subjects.model_score))
    keys: Sequence[str] = subjects.first["detection_id"].to_pylist()
    for at in np.flatnonzero(labels.tier != "gold").tolist():
        kind = str(labels.anomaly_type[at])
        rare = rarity.get(kind, 0.0)
        score = float(uncertainty[at] + 0.5 * apart[at] + rare)
        score_of_model = float(subjects.model_score[at])
        yield _entry(keys[at], score, float(uncertainty[at]), float(apart[at]), rare) | {
            "p_real": float(p[at]),
            "model_score": None if math.isnan(score_of_model) else score_of_model,
            "n_votes": int(labels.n_votes[at]),
            "class": kind,
        }


def _entry(
    detection_id: str, score: float, uncertainty: float, disagreement: float, rarity: float
) -> dict[str, Any]:
    return {
        "detection_id": detection_id,
        "score": score,
        "uncertainty": uncertainty,
        "disagreement": disagreement,
        "rarity": rarity,
        "p_real": None,
        "n_votes": 0,
    }


def _bits(p: Floats) -> Floats:
    """Return the entropy of each probability, in bits."""
    inside = np.clip(p, 1e-12, 1 - 1e-12)
    bits: Floats = -(inside * np.log2(inside) + (1 - inside) * np.log2(1 - inside))
    return bits


def _told(item: QueueItem, *, reasons: bool) -> dict[str, Any]:
    told = {name.rstrip("_"): value for name, value in asdict(item).items()}
    told["observation_time"] = item.observation_time.isoformat()
    return told if reasons else {name: told[name] for name in BLIND}
