"""Which reviewed subjects a collection takes, with what label, and why it leaves the others."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, Row

from astrid_training.database import query
from astrid_training.digests import sample_key, unit_hash
from astrid_training.errors import CollectionRefusedError
from astrid_training.images import Images, choose_images
from astrid_training.labels import LEGACY_VALIDATOR, SubjectLabel, Vote, counting_votes, fuse
from astrid_training.ledger import propose_splits
from astrid_training.params import CHANNELS, SourcePolicy, TrainingDataCollectionParams
from astrid_training.subjects import join_detections
from astrid_training.surveys import profile_for
from astrid_training.taxonomy import taxonomy

__all__ = ["SELECTION", "select_subjects"]

FWHM_LIMITS = (0.3, 5.0)  # times the survey's usual one; a seeing beyond that is a slip
STEP = "fetch_validated_detections"

SELECTION = pa.schema(
    [
        ("sample_key", pa.string()),
        ("step", pa.string()),  # null: kept
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("detection_id", pa.string()),
        ("observation_id", pa.string()),
        ("survey", pa.string()),
        ("band", pa.string()),
        ("observation_time", pa.timestamp("us", "UTC")),
        ("exposure_s", pa.float64()),
        ("seeing_arcsec", pa.float64()),
        ("pixel_scale", pa.float64()),
        ("ra_deg", pa.float64()),
        ("dec_deg", pa.float64()),
        ("pixel_x", pa.int32()),
        ("pixel_y", pa.int32()),
        ("fwhm_arcsec", pa.float64()),
        ("designation", pa.string()),  # of a known moving object, as the survey named it
        ("model_score", pa.float64()),
        ("is_anomaly", pa.bool_()),
        ("anomaly_type", pa.string()),
        ("label_source", pa.string()),
        ("p_real", pa.float64()),
        ("confidence", pa.float64()),
        ("weight", pa.float64()),
        ("tier", pa.string()),
        ("n_votes", pa.int32()),
        ("n_validators", pa.int32()),
        ("agreement", pa.float64()),
        ("votes", pa.string()),  # JSON list of all votes, each with its state
        ("mutated_after_as_of", pa.bool_()),  # a row changed since, so it may have been another
        ("group_key", pa.string()),
        ("split", pa.string()),  # proposed; publishing decides
        *((f"{role}_{what}", pa.string()) for role in CHANNELS for what in ("path", "kind")),
    ]
)
"""One row a reviewed subject, sorted by sample_key; dropped ones carry step, reason and detail."""


@dataclass(frozen=True, slots=True)
class _Subject:
    first: Row[Any]
    """Its detection with the least (created_at, id)."""
    key: str
    votes: list[Vote]
    """All of them, superseded ones too, by time."""
    label: SubjectLabel
    mutated: bool
    """A row of it changed after the as-of time."""
    fwhm_arcsec: float
    label_source: str
    """human, or machine where no person reviewed it."""
    model_score: float | None
    reason: str | None = None
    detail: str = ""


def select_subjects(
    connection: Connection, params: TrainingDataCollectionParams, as_of: datetime
) -> pa.Table:
    """Return all subjects that people reviewed within the parameters' range, as `SELECTION` rows.

    Raises:
        CollectionRefusedError: if a survey or an anomaly type does not exist.
    """
    surveys = _known_surveys(connection, params.survey_ids)
    _check_types(params.anomaly_types)
    start, end = params.date_range or (None, None)
    rows = connection.execute(
        query("reviewed_detections"),
        {
            "surveys": surveys,
            "start": start,
            "end": end,
            "bands": params.bands,
            "as_of": as_of,
        },
    ).all()
    subjects = [_filtered(subject, params) for subject in _subjects(rows)]
    found = _add_sources(connection, subjects, params.source_policy, as_of)
    return _table(_capped(connection, found, params))


def _known_surveys(connection: Connection, wanted: Sequence[str] | None) -> list[str]:
    known = {row.name: row.is_active for row in connection.execute(query("survey_names"))}
    there = ", ".join(sorted(known)) or "none at all"
    if wanted is None:
        active = [name for name, is_active in known.items() if is_active]
        if not active:
            raise CollectionRefusedError(
                f"no survey is active; name some in survey_ids: the surveys table has {there}"
            )
        return active
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise CollectionRefusedError(
            f"no survey named {', '.join(unknown)}; the surveys table has {there}"
        )
    return sorted(set(wanted))


def _check_types(wanted: Sequence[str] | None) -> None:
    unknown = sorted(set(wanted or []) - set(taxonomy().real_classes))
    if unknown:
        raise CollectionRefusedError(
            f"no anomaly type named {', '.join(unknown)}; "
            f"use some of {', '.join(taxonomy().real_classes)}"
        )


def _subjects(rows: Sequence[Row[Any]]) -> list[_Subject]:
    """Return the reviewed subjects among detections sorted by observation and age."""
    if not rows:
        return []
    observations = {row.observation_id: None for row in rows}
    number = {observation: index for index, observation in enumerate(observations)}
    fwhm = np.array([_fwhm_arcsec(row) for row in rows])
    scale = np.array(
        [row.pixel_scale or profile_for(row.survey).pixel_scale_arcsec for row in rows]
    )
    labels = join_detections(
        np.array([number[row.observation_id] for row in rows]),
        np.array([row.ra_deg for row in rows]),
        np.array([row.dec_deg for row in rows]),
        fwhm,
        scale,
    )
    members: defaultdict[int, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        members[int(label)].append(index)
    found = (_subject([rows[i] for i in group], fwhm[group[0]]) for group in members.values())
    return [subject for subject in found if subject is not None]


def _fwhm_arcsec(row: Row[Any]) -> float:
    """Return the exposure's seeing, or the survey's usual one where it is missing or absurd."""
    profile = profile_for(row.survey)
    usual = float(profile.psf_fwhm_px * (row.pixel_scale or profile.pixel_scale_arcsec))
    least, most = (factor * usual for factor in FWHM_LIMITS)
    seeing = row.seeing_arcsec
    return float(seeing) if seeing is not None and least <= seeing <= most else usual


def _subject(rows: Sequence[Row[Any]], fwhm_arcsec: float) -> _Subject | None:
    """Return the subject of these detections, oldest first; None if nobody reviewed it."""
    votes = [_vote(entry) for row in rows for entry in row.votes or []] or _legacy_votes(rows)
    counting = counting_votes(votes)
    if not counting:
        return None
    first = min(rows, key=lambda row: (row.created_at, row.detection_id))
    return _Subject(
        first=first,
        key=sample_key("det", str(first.detection_id)),
        votes=sorted(votes, key=lambda vote: (vote.at, vote.event_id)),
        label=fuse(counting, taxonomy()),
        mutated=any(row.mutated for row in rows),
        fwhm_arcsec=float(fwhm_arcsec),
        label_source="machine" if all(vote.machine for vote in counting) else "human",
        model_score=max(filter(_is_known, (row.model_score for row in rows)), default=None),
    )


def _is_known(score: float | None) -> bool:
    return score is not None


def _vote(entry: dict[str, Any]) -> Vote:
    return Vote(**entry | {"at": datetime.fromisoformat(entry["at"])})


def _legacy_votes(rows: Iterable[Row[Any]]) -> list[Vote]:
    """Return the votes that a status alone stands for, where there are no events."""
    verdicts = {"VALIDATED": True, "CONFIRMED": True, "REJECTED": False}
    return [
        Vote(
            str(row.detection_id),
            LEGACY_VALIDATOR,
            verdicts[row.status],
            row.human_label,
            None,
            row.updated_at,
        )
        for row in rows
        if row.status_counts and row.status in verdicts
    ]


def _filtered(subject: _Subject, params: TrainingDataCollectionParams) -> _Subject:
    """Return the subject, with the reason if its label keeps it out."""
    reason, detail = _label_problem(subject.label, params)
    if reason is None and params.strict_as_of and subject.mutated:
        reason, detail = "mutated_after_as_of", "a row changed after as_of"
    return replace(subject, reason=reason, detail=detail)


def _label_problem(
    label: SubjectLabel, params: TrainingDataCollectionParams
) -> tuple[str | None, str]:
    if label.reason is not None:
        return label.reason, f"{len(label.set_aside)} vote(s) set aside, none left"
    if label.confidence < params.confidence_threshold:
        reason = "ambiguous" if label.tier == "ambiguous" else "below_confidence"
        return reason, f"confidence {label.confidence:.3f} < {params.confidence_threshold:g}"
    if params.anomaly_types is not None and label.is_anomaly:
        if label.anomaly_type == "unknown":
            return "class_unknown", "real, but nobody said of which class"
        if label.anomaly_type not in params.anomaly_types:
            return "class_not_selected", label.anomaly_type
    return None, ""


def _add_sources(
    connection: Connection, subjects: Sequence[_Subject], policy: SourcePolicy, as_of: datetime
) -> list[dict[str, Any]]:
    """Return one `SELECTION` row a subject, with the paths of its images."""
    observations = sorted({subject.first.observation_id for subject in subjects})
    found = connection.execute(
        query("exposure_sources"), {"observations": observations, "as_of": as_of}
    )
    paths = {row.observation_id: row for row in found}
    return [
        _row(subject, choose_images(paths[subject.first.observation_id], subject.first, policy))
        for subject in subjects
    ]


def _row(subject: _Subject, images: Images) -> dict[str, Any]:
    first, label = subject.first, subject.label
    reason, detail = subject.reason, subject.detail
    if reason is None:
        reason, detail = images.problem
    return {
        "sample_key": subject.key,
        "step": None if reason is None else STEP,
        "reason": reason,
        "detail": detail if reason else None,
        "detection_id": str(first.detection_id),
        "observation_id": str(first.observation_id),
        "survey": first.survey,
        "band": first.band,
        "observation_time": first.observation_time,
        "exposure_s": first.exposure_s,
        "seeing_arcsec": first.seeing_arcsec,
        "pixel_scale": first.pixel_scale,
        "ra_deg": first.ra_deg,
        "dec_deg": first.dec_deg,
        "pixel_x": first.pixel_x,
        "pixel_y": first.pixel_y,
        "fwhm_arcsec": subject.fwhm_arcsec,
        "designation": first.designation,
        "model_score": subject.model_score,
        "is_anomaly": label.is_anomaly,
        "anomaly_type": label.anomaly_type,
        "label_source": subject.label_source,
        "p_real": label.p_real,
        "confidence": label.confidence,
        "weight": label.weight,
        "tier": label.tier,
        "n_votes": label.n_votes,
        "n_validators": label.n_validators,
        "agreement": label.agreement,
        "votes": _votes_json(subject.votes, label),
        "mutated_after_as_of": subject.mutated,
        **images.columns(),
    }


def _votes_json(votes: Sequence[Vote], label: SubjectLabel) -> str:
    counting = {vote.event_id for vote in counting_votes(votes)}
    return json.dumps(
        [
            {
                "state": label.set_aside.get(vote.event_id, "counts")
                if vote.event_id in counting
                else "superseded",
                "event_id": str(vote.event_id),
                "validator": vote.validator,
                "is_valid": vote.is_valid,
                "label": vote.label,
                "level": vote.level,
                "machine": vote.machine,
                "at": vote.at.isoformat(),
            }
            for vote in votes
        ]
    )


def _capped(
    connection: Connection, rows: list[dict[str, Any]], params: TrainingDataCollectionParams
) -> list[dict[str, Any]]:
    """Give each kept row its group and proposed split, then drop what is beyond max_samples."""
    kept = [row for row in rows if row["reason"] is None]
    places = pa.Table.from_pylist(kept, schema=SELECTION)
    side = params.preprocess.stamp_size
    division = propose_splits(connection, places, params.split, side)
    for row, assignment in zip(kept, division.assignments, strict=True):
        row["group_key"], row["split"] = assignment.group_key, assignment.split
    taken = _take_evenly(kept, params)
    for row in kept:
        if row["sample_key"] not in taken:
            row["step"], row["reason"] = STEP, "beyond_max_samples"
            row["detail"] = f"max_samples={params.max_samples}"
    return rows


def _take_evenly(rows: list[dict[str, Any]], params: TrainingDataCollectionParams) -> set[str]:
    """Return the keys of at most max_samples rows, as evenly over survey and class as they allow.

    Within a stratum the order is a hash of the group, so that a larger limit only adds rows.
    """
    strata: defaultdict[tuple[str, str], list[tuple[float, str]]] = defaultdict(list)
    for row in rows:
        stratum = (row["survey"], row["anomaly_type"] if row["is_anomaly"] else "bogus")
        rank = unit_hash(params.split.salt, row["group_key"])
        strata[stratum].append((rank, row["sample_key"]))
    ranked = [
        (position, stratum, key)
        for stratum, members in strata.items()
        for position, (_, key) in enumerate(sorted(members))
    ]
    return {key for _, _, key in sorted(ranked)[: params.max_samples]}


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(sorted(rows, key=lambda row: row["sample_key"]), schema=SELECTION)
