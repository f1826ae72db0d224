"""What a subject must meet to be taken: whose data it is, how it was seen, how sure its label is."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astrid_training.labels import Labels
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.problems import Problems
from astrid_training.reviewed import Reviewed

__all__ = ["is_public", "label_problems", "limit_problems"]

PUBLIC_PROGRAMS = ("1", "1.0")  # ZTF's public survey; JSON writes it either way


def limit_problems(
    first: pa.Table, params: TrainingDataCollectionParams, as_of: datetime
) -> Problems:
    """Return which subjects leave for whose they are and how they were seen.

    Args:
        first: (n,) the detections that stand for them, rows of `scope.DETECTIONS`.
        params: limits.
        as_of: when data must be public.
    """
    program, until = first["program_id"].to_pylist(), first["proprietary_until"].to_pylist()
    public = is_public(first["program_id"], first["proprietary_until"], as_of)
    seeing, airmass = (
        first[name].to_numpy(zero_copy_only=False) for name in ("seeing_arcsec", "airmass")
    )
    return {
        "proprietary": (
            ~public & (not params.include_proprietary),
            lambda n: f"program_id {program[n] or 'unknown'}, until {until[n] or 'unknown'}",
        ),
        "poor_seeing": (
            _beyond(seeing, params.max_seeing_arcsec),
            lambda n: f"seeing {seeing[n]:g} > {params.max_seeing_arcsec:g} arcsec, or unknown",
        ),
        "high_airmass": (
            _beyond(airmass, params.max_airmass),
            lambda n: f"airmass {airmass[n]:g} > {params.max_airmass:g}, or unknown",
        ),
    }


def _beyond(values: NDArray[np.float64], limit: float | None) -> NDArray[np.bool_]:
    return np.zeros(len(values), bool) if limit is None else ~(values <= limit)


def is_public(
    program_id: pa.ChunkedArray, proprietary_until: pa.ChunkedArray, as_of: datetime
) -> NDArray[np.bool_]:
    """Return (n,) which data are anybody's at `as_of`.

    That is where the programme is unknown or the public one, or its proprietary time has passed;
    and where no such time lies ahead. A time that cannot be read has not passed.
    """
    moments = pc.unique(proprietary_until).to_pylist()
    over = pa.array(
        [text for text in moments if text is not None and _is_over(text, as_of)], pa.string()
    )
    ahead = pc.and_(pc.is_valid(proprietary_until), pc.invert(pc.is_in(proprietary_until, over)))
    ours = pc.fill_null(pc.is_in(program_id, pa.array(PUBLIC_PROGRAMS)), True)  # noqa: FBT003 - no programme
    ours = pc.or_(pc.is_null(program_id), ours)
    passed = pc.is_in(proprietary_until, over)
    public: NDArray[np.bool_] = pc.and_(pc.or_(ours, passed), pc.invert(ahead)).to_numpy()
    return public


def _is_over(text: str, as_of: datetime) -> bool:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return False
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) <= as_of


def label_problems(
    labels: Labels, subjects: Reviewed, params: TrainingDataCollectionParams
) -> Problems:
    """Return which subjects leave for their label, or for what the model says where that is asked."""
    confidence, least = labels.confidence, params.confidence_threshold
    doubtful = confidence < least
    wanted = params.anomaly_types
    score, least_score = subjects.model_score, params.min_model_score
    none_left = "all its votes were set aside"

    def how_sure(n: int) -> str:
        return f"confidence {confidence[n]:.3f} < {least:g}"

    return {
        "contradiction": (labels.problem == "contradiction", none_left),
        "unmapped_label": (labels.problem == "unmapped_label", none_left),
        "needs_second_review": (
            labels.problem == "needs_second_review",
            "its reviewers agree, but what is known of them speaks against it",
        ),
        "ambiguous": (
            (labels.problem == "ambiguous") | (doubtful & (labels.tier == "ambiguous")),
            how_sure,
        ),
        "below_confidence": (doubtful, how_sure),
        "class_unknown": (
            labels.is_anomaly & (labels.anomaly_type == "unknown") & (wanted is not None),
            "real, but nobody said of which class",
        ),
        "class_not_selected": (
            labels.is_anomaly & ~np.isin(labels.anomaly_type, wanted or []) & (wanted is not None),
            lambda n: str(labels.anomaly_type[n]),
        ),
        "below_model_score": (
            np.zeros(len(score), bool) if least_score is None else ~(score >= least_score),
            lambda n: f"model score {score[n]:g} < {least_score:g}, or none",
        ),
        "mutated_after_as_of": (
            subjects.mutated & params.strict_as_of,
            "a row changed after as_of",
        ),
    }
