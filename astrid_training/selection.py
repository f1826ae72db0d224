"""Which reviewed subjects a collection takes, with what label, and why it leaves the others."""

import json
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Connection

from astrid_training.completion import complete_selection
from astrid_training.criteria import label_problems, limit_problems
from astrid_training.digests import sample_key
from astrid_training.groups import PLACED
from astrid_training.images import IMAGES, choose_images, image_problems
from astrid_training.labels import Labels, label_subjects
from astrid_training.ledger import propose_splits, sampling_keys
from astrid_training.memory import give_back
from astrid_training.neighbours import NEIGHBOURS
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.problems import first_problems
from astrid_training.reviewed import Reviewed, reviewed_subjects
from astrid_training.reviewers import review_notes
from astrid_training.sampling import take_evenly
from astrid_training.scope import fetch_scope, fetch_sources
from astrid_training.taxonomy import taxonomy
from astrid_training.votes import votes_json

__all__ = ["SELECTION", "STEP", "read_notes", "select_subjects"]

STEP = "fetch_validated_detections"
NOTES = b"reviews"

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
        ("airmass", pa.float64()),
        ("pixel_scale", pa.float64()),
        ("ra_deg", pa.float64()),
        ("dec_deg", pa.float64()),
        ("pixel_x", pa.int32()),
        ("pixel_y", pa.int32()),
        ("fwhm_arcsec", pa.float64()),
        ("designation", pa.string()),  # of a known moving object, as the survey named it
        ("model_score", pa.float64()),
        ("program_id", pa.string()),
        ("proprietary_until", pa.string()),
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
        ("selected_for", pa.string()),  # why it is in: see `_selected_for`
        ("candidates_fwhm_px", pa.float64()),  # median over 20 or more of the exposure
        ("neighbours", NEIGHBOURS),
        ("sampling_key", pa.string()),  # `ledger.sampling_keys`; group_key where no cap chooses
        ("group_key", pa.string()),
        ("split", pa.string()),  # proposed; publishing decides
        *IMAGES,
    ]
)
"""One row a reviewed subject, sorted by sample_key; dropped ones carry step, reason and detail."""


def select_subjects(
    connection: Connection, params: TrainingDataCollectionParams, as_of: datetime
) -> pa.Table:
    """Return all subjects that people reviewed within the parameters' range, as `SELECTION` rows.

    Labels are made from all of them together before any is dropped, so that they do not depend on
    thresholds. What became of the votes travels with the table, see `read_notes`.

    Raises:
        CollectionRefusedError: if a survey or an anomaly type does not exist.
    """
    subjects = reviewed_subjects(fetch_scope(connection, params, as_of), params.cone)
    labels, fused = label_subjects(
        subjects.votes, len(subjects), taxonomy(), random_reviews=params.re_review == "random"
    )
    first = subjects.first
    sources = fetch_sources(connection, first["observation_id"].to_pylist(), as_of)
    images = choose_images(sources, first["stamp_path"], params.source_policy)
    problems = {
        **limit_problems(first, params, as_of),
        **label_problems(labels, subjects, params),
        **image_problems(images, params.source_policy, science_masks=params.allow_science_masks),
    }
    reasons, details = first_problems(problems, len(subjects))
    notes = review_notes(subjects.votes, labels, fused)
    notes |= {"mutated_after_as_of": int(subjects.mutated.sum())}
    table = _table(subjects, labels, images, {"reason": reasons, "detail": details})
    del first, subjects, labels, fused, sources, images, problems  # from here on the table is all
    table = table.sort_by("sample_key")
    give_back()
    table = _capped(connection, table, params)
    if params.min_model_score is not None:
        notes["min_model_score"] = params.min_model_score
    table = table.replace_schema_metadata({NOTES: json.dumps(notes)})
    return complete_selection(connection, table, params, as_of)


def read_notes(selection: pa.Table) -> dict[str, Any]:
    """Return what happened to reviews on the way to labels, see `reviewers.review_notes`."""
    notes: dict[str, Any] = json.loads((selection.schema.metadata or {}).get(NOTES, b"{}"))
    return notes


def _table(
    subjects: Reviewed, labels: Labels, images: pa.Table, more: dict[str, list[str | None]]
) -> pa.Table:
    first, size = subjects.first, len(subjects)
    told = [name for name in first.column_names if name in SELECTION.names]
    columns: dict[str, Any] = {
        **{name: first[name] for name in told},
        **{name: images[name] for name in images.column_names},
        **more,
        "sample_key": [sample_key("det", key) for key in first["detection_id"].to_pylist()],
        "fwhm_arcsec": subjects.fwhm_arcsec,
        "model_score": pa.array(subjects.model_score, from_pandas=True),  # NaN: there is none
        "is_anomaly": labels.is_anomaly,
        "anomaly_type": labels.anomaly_type,
        "label_source": labels.source,
        "p_real": labels.p_real,
        "confidence": labels.confidence,
        "weight": labels.weight,
        "tier": labels.tier,
        "n_votes": labels.n_votes,
        "n_validators": labels.n_votes,
        "agreement": pa.array(labels.agreement, from_pandas=True),
        "votes": votes_json(subjects.votes, size),
        "mutated_after_as_of": subjects.mutated,
        "selected_for": subjects.selected_for,
    }
    filled = [
        pa.array(_plain(columns[f.name])).cast(f.type)
        if f.name in columns
        else pa.nulls(size, f.type)
        for f in SELECTION
    ]
    return pa.table(filled, schema=SELECTION)


def _capped(
    connection: Connection, table: pa.Table, params: TrainingDataCollectionParams
) -> pa.Table:
    """Give each kept row its group and proposed split, then drop what is beyond max_samples."""
    kept = pc.is_null(table["reason"]).to_numpy()
    places = table.select(PLACED).filter(pa.array(kept))
    side = params.preprocess.stamp_size
    assigned = propose_splits(connection, places, params.split, side).assignments
    groups = [one.group_key for one in assigned]
    chooses = len(groups) > params.max_samples or params.negatives.bogus_per_real is not None
    sampling = sampling_keys(places, assigned, params.split, side) if chooses else groups
    kinds = pc.if_else(places["is_anomaly"], places["anomaly_type"], "bogus")
    strata = pc.binary_join_element_wise(places["survey"], kinds, "|").to_pylist()
    keys = places["sample_key"].to_pylist()
    taken = take_evenly(strata, sampling, keys, params.split.salt, params.max_samples)
    beyond = np.zeros(table.num_rows, bool)
    beyond[np.flatnonzero(kept)[~taken]] = True
    reason, detail = "beyond_max_samples", f"max_samples={params.max_samples}"
    table = _put(table, "reason", beyond, reason)
    table = _put(table, "detail", beyond, detail)
    table = _put(table, "step", pc.is_valid(table["reason"]).to_numpy(), STEP)
    place = np.full(table.num_rows, None, object)
    given = {
        "sampling_key": sampling,
        "group_key": groups,
        "split": [one.split for one in assigned],
    }
    for name, values in given.items():
        place[kept] = values
        table = _set(table, name, pa.array(place, pa.string()))
    chosen = _selected_for(capped=bool(beyond.any()), scored=params.min_model_score is not None)
    return _set(table, "selected_for", pc.coalesce(table["selected_for"], chosen))


def _selected_for(*, capped: bool, scored: bool) -> str:
    """Return why a sample is in whose reviews do not say that a queue or an audit showed it.

    `score_cut` where the model's score chose, else `stratified` where max_samples did, else `all`.
    """
    if scored:
        return "score_cut"
    return "stratified" if capped else "all"


def _put(table: pa.Table, name: str, at: NDArray[np.bool_], value: str) -> pa.Table:
    return _set(table, name, pc.if_else(pa.array(at), value, table[name]))


def _set(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), SELECTION.field(name), values)


def _plain(values: Any) -> Any:  # noqa: ANN401 - whatever Arrow makes an array of
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
