"""From detections and reviews to reviewed subjects with their votes."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astrid_training.cone import inside_cone
from astrid_training.params import Cone
from astrid_training.scope import Scope
from astrid_training.subjects import join_detections
from astrid_training.surveys import profile_for
from astrid_training.taxonomy import taxonomy
from astrid_training.votes import LEGACY_VALIDATOR, REVIEWS, Votes, cast_votes

__all__ = ["DECIDED", "Reviewed", "join_by_scale", "reviewed_subjects"]

FWHM_LIMITS = (0.3, 5.0)  # times the survey's usual one; a seeing beyond that is a slip
DECIDED = ("VALIDATED", "CONFIRMED", "REJECTED")
"""States of a detection that somebody decided on."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Subjects that somebody voted on, as columns of one length, in the order of their detections."""

    first: pa.Table
    """The detection with the least (created_at, id) of each, rows of `scope.DETECTIONS`."""
    votes: Votes
    """All their votes, subjects numbered as here."""
    fwhm_arcsec: Floats
    model_score: Floats
    """The largest of its detections; NaN where there is none."""
    mutated: NDArray[np.bool_]
    """Whether a row of it changed after the as-of time."""
    selected_for: pa.Array
    """What the reviews say why it was shown, queue or random_audit; null where they do not."""

    def __len__(self) -> int:
        return len(self.fwhm_arcsec)


def reviewed_subjects(scope: Scope, cone: Cone | None) -> Reviewed:
    """Return the subjects among the detections of `scope` that somebody voted on, within the cone.

    Reviews of all detections of a subject are pooled. Where there is none, a decided status stands
    for one vote.
    """
    detections = scope.detections
    fwhm, pixel = _scales(detections)
    subject = _joined(detections, fwhm, pixel)
    place = pc.index_in(scope.reviews["detection_id"], detections["detection_id"])
    reviews = scope.reviews.filter(pc.is_valid(place))
    of = subject[pc.drop_null(place).to_numpy()]
    first = np.unique(subject, return_index=True)[1]  # subjects are numbered as they appear
    voted = np.bincount(of, minlength=len(first)) > 0
    legacy = _legacy(detections) & ~voted[subject]
    reviews = pa.concat_tables([reviews, _legacy_reviews(detections.filter(pa.array(legacy)))])
    of = np.concatenate([of, subject[legacy]])

    place_deg = [detections[name].to_numpy()[first] for name in ("ra_deg", "dec_deg")]
    chosen = (np.bincount(of, minlength=len(first)) > 0) & inside_cone(cone, *place_deg)
    number = np.where(chosen, np.cumsum(chosen) - 1, -1)
    within = number[of] >= 0
    votes = cast_votes(reviews.filter(pa.array(within)), number[of][within], taxonomy())
    size = int(chosen.sum())
    own = number[subject]
    changed = votes.reviews["changed"].to_numpy(zero_copy_only=False)
    mutated = detections["mutated"].to_numpy(zero_copy_only=False)
    return Reviewed(
        first=detections.take(first[chosen]),
        votes=votes,
        fwhm_arcsec=fwhm[first[chosen]],
        model_score=_largest(detections["model_score"], own, size),
        mutated=_any(own[(own >= 0) & mutated], size) | _any(votes.subject[changed], size),
        selected_for=_shown_for(votes, size),
    )


def join_by_scale(detections: pa.Table) -> Ints:
    """Return the subject of each detection, see `join_detections`.

    Args:
        detections: with observation_id, ra_deg, dec_deg, survey, seeing_arcsec and pixel_scale.
    """
    return _joined(detections, *_scales(detections))


def _joined(detections: pa.Table, fwhm: Floats, pixel: Floats) -> Ints:
    observation = detections["observation_id"].combine_chunks().dictionary_encode().indices
    return join_detections(
        observation.to_numpy().astype(np.int64),
        detections["ra_deg"].to_numpy(),
        detections["dec_deg"].to_numpy(),
        fwhm,
        pixel,
    )


def _scales(detections: pa.Table) -> tuple[Floats, Floats]:
    """Return FWHM and pixel scale of each detection, arcsec; the survey's usual where it is not told.

    So also where the seeing is absurd.
    """
    surveys = detections["survey"].combine_chunks().dictionary_encode()
    profiles = [profile_for(name) for name in surveys.dictionary.to_pylist()]
    code = surveys.indices.to_numpy()
    usual_px = np.array([profile.psf_fwhm_px for profile in profiles], float)[code]
    usual_pixel = np.array([profile.pixel_scale_arcsec for profile in profiles], float)[code]
    told = detections["pixel_scale"].to_numpy()
    pixel = np.where(told > 0, told, usual_pixel)
    usual = usual_px * pixel
    seeing = detections["seeing_arcsec"].to_numpy()
    sane = (seeing >= FWHM_LIMITS[0] * usual) & (seeing <= FWHM_LIMITS[1] * usual)
    return np.where(sane, seeing, usual), pixel


def _legacy(detections: pa.Table) -> NDArray[np.bool_]:
    decided = pc.is_in(detections["status"], pa.array(DECIDED))
    counts: NDArray[np.bool_] = pc.and_(detections["status_counts"], decided).to_numpy()
    return counts


def _legacy_reviews(detections: pa.Table) -> pa.Table:
    """Return what a status alone stands for, as reviews by one validator."""
    columns = {
        "event_id": detections["detection_id"],
        "detection_id": detections["detection_id"],
        "validator": pa.repeat(LEGACY_VALIDATOR, len(detections)),
        "is_valid": pc.not_equal(detections["status"], "REJECTED"),
        "label": detections["human_label"],
        "level": pa.nulls(len(detections), pa.string()),
        "image_quality": pa.nulls(len(detections), pa.string()),
        "source": pa.repeat("human", len(detections)),
        "selected_for": pa.nulls(len(detections), pa.string()),
        "at": detections["updated_at"],
        "changed": pa.repeat(pa.scalar(value=False), len(detections)),
    }
    return pa.table(columns, schema=REVIEWS)


def _largest(values: pa.ChunkedArray, subject: Ints, size: int) -> Floats:
    numbers = values.to_numpy()
    known = (subject >= 0) & ~np.isnan(numbers)
    largest = np.full(size, -np.inf)
    np.maximum.at(largest, subject[known], numbers[known])
    return np.where(np.isinf(largest), np.nan, largest)


def _any(subject: Ints, size: int) -> NDArray[np.bool_]:
    return np.bincount(subject, minlength=size) > 0


def _shown_for(votes: Votes, size: int) -> pa.Array:
    """Return what the earliest review that says it says why the subject was shown."""
    told = np.flatnonzero(pc.is_valid(votes.reviews["selected_for"]).to_numpy())
    row = np.full(size, -1)
    row[votes.subject[told[::-1]]] = told[::-1]  # the last written is the earliest
    return votes.reviews["selected_for"].combine_chunks().take(pa.array(row, mask=row < 0))
