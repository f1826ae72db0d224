"""The simulated survey as rows of AstrID's tables, with the times and statuses AstrID gives."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
from sqlalchemy import Connection

from astrid_training.database import query
from astrid_training.simulate.conditions import Conditions
from astrid_training.simulate.fits_files import sky_positions
from astrid_training.simulate.plan import SkyPlan
from astrid_training.simulate.reviewers import Review
from astrid_training.simulate.sightings import LEAST_SNR, MODEL_VERSIONS
from astrid_training.simulate.sky import Field
from astrid_training.simulate.subjects import Subject, found_at

__all__ = [
    "TABLES",
    "Frame",
    "Row",
    "SurveyNameTakenError",
    "detection_id",
    "frame_rows",
    "insert_rows",
    "reference_rows",
    "survey_rows",
]

Row = Mapping[str, object]
TABLES = (
    "surveys",
    "models",
    "observations",
    "preprocess_runs",
    "difference_runs",
    "candidates",
    "model_runs",
    "detections",
    "validation_events",
)
"""In an order in which no row comes before one that it refers to."""

LEVEL_CONFIDENCE = {"LOW": 0.5, "MEDIUM": 0.7, "HIGH": 0.85, "EXPERT": 0.95}
REAL_MODEL_SCORE = 0.5
SURVEY_BORN = datetime(2024, 1, 1, tzinfo=UTC)
EDGE_PX = 32


class SurveyNameTakenError(ValueError):
    """A survey of this name is there that no simulation made."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One science frame: where its files lie and what was found on it."""

    epoch: int
    conditions: Conditions
    science_path: str
    difference_path: str
    subjects: tuple[Subject, ...]


def insert_rows(connection: Connection, rows: Mapping[str, Sequence[Row]]) -> dict[str, int]:
    """Insert the rows that are not there yet, table by table; return how many were added.

    The caller commits.

    Raises:
        SurveyNameTakenError: if the survey's name belongs to rows of another origin.
    """
    added = {}
    for table in TABLES:
        new = rows.get(table, [])
        added[table] = 0
        if new:
            result = connection.execute(query(f"simulate_insert_{table}"), [dict(r) for r in new])
            added[table] = result.rowcount
    for survey in rows.get("surveys", []):
        found = connection.execute(query("simulate_survey_id"), {"name": survey["name"]})
        if found.scalar_one() != survey["id"]:
            raise SurveyNameTakenError(
                f"the survey {survey['name']!r} exists and was not simulated: real and simulated "
                "rows would mix; give the simulation a name of its own"
            )
    return added


def survey_rows(plan: SkyPlan) -> dict[str, list[Row]]:
    """Return the rows that all skies of this survey share: the survey and the two models."""
    at = SURVEY_BORN
    survey = {
        "id": plan.survey_wide_id("survey"),
        "name": plan.survey,
        "description": f"Simulated sky in the layout of {plan.layout}; no real data.",
        "created_at": at,
        "updated_at": at,
    }
    models: list[Row] = [
        {
            "id": _model_id(plan, version),
            "name": f"{plan.survey}_unet",
            "version": version,
            "is_active": version == MODEL_VERSIONS[-1],
            "created_at": at,
            "updated_at": at,
        }
        for version in MODEL_VERSIONS
    ]
    return {"surveys": [survey], "models": models}


def reference_rows(
    plan: SkyPlan, field: Field, conditions: Conditions, path: str
) -> dict[str, list[Row]]:
    """Return the observation of a field's reference."""
    exposures = plan.instrument.reference_exposures
    row = _observation(plan, field, conditions, "reference", path)
    row |= {
        "exposure_time": plan.instrument.exposure_s * exposures,
        "status": "preprocessed",
    }
    return {"observations": [row]}


def frame_rows(plan: SkyPlan, field: Field, frame: Frame) -> dict[str, list[Row]]:
    """Return all rows of one science frame."""
    runs = [_model_run(plan, field, frame, version) for version in MODEL_VERSIONS]
    return {
        "observations": [
            _observation(plan, field, frame.conditions, frame.epoch, frame.science_path)
        ],
        "preprocess_runs": [_preprocess_run(plan, field, frame)],
        "difference_runs": [_difference_run(plan, field, frame)],
        "candidates": _candidates(plan, field, frame),
        "model_runs": runs,
        "detections": _detections(plan, field, frame),
        "validation_events": [
            _event(plan, field, frame, subject, number)
            for subject in frame.subjects
            if not subject.is_legacy
            for number in range(len(subject.reviews))
        ],
    }


def detection_id(plan: SkyPlan, field: Field, subject: Subject, version: str) -> UUID:
    """Return the id of one model version's detection of `subject`."""
    return plan.row_id(
        field.name, subject.sighting.epoch, "detection", subject.sighting.source.name, version
    )


def _model_id(plan: SkyPlan, version: str) -> UUID:
    return plan.survey_wide_id("model", version)


def _observation_id(plan: SkyPlan, field: Field, epoch: int | str) -> UUID:
    return plan.row_id(field.name, epoch, "observation")


def _observation(
    plan: SkyPlan, field: Field, conditions: Conditions, epoch: int | str, path: str
) -> dict[str, object]:
    layout, (height, width) = plan.instrument, plan.frame_size
    ((ra, dec),) = sky_positions(plan, field, conditions, [((width - 1) / 2, (height - 1) / 2)])
    stamp = f"e{epoch:02d}" if isinstance(epoch, int) else epoch
    seen = conditions.time + timedelta(minutes=5)
    return {
        "id": _observation_id(plan, field, epoch),
        "survey_id": plan.survey_wide_id("survey"),
        "observation_id": f"{plan.survey}_{plan.key}_{field.name}_{stamp}",
        "ra": ra,
        "dec": dec,
        "observation_time": conditions.time,
        "filter_band": field.band,
        "exposure_time": layout.exposure_s,
        "fits_url": path,
        "pixel_scale": layout.pixel_scale_arcsec,
        "image_width": width,
        "image_height": height,
        "airmass": conditions.airmass,
        "seeing": round(conditions.fwhm_px * layout.pixel_scale_arcsec, 3),
        "status": "differenced",
        "fits_file_path": path,
        "created_at": seen,
        "updated_at": seen,
    }


def _run_times(conditions: Conditions, start_min: int, end_min: int) -> dict[str, datetime]:
    start, end = (conditions.time + timedelta(minutes=m) for m in (start_min, end_min))
    return {"started_at": start, "completed_at": end, "created_at": start, "updated_at": end}


def _preprocess_run(plan: SkyPlan, field: Field, frame: Frame) -> Row:
    """Return the run that calibrated the frame in place: its product is the science file."""
    return {
        "id": plan.row_id(field.name, frame.epoch, "preprocess"),
        "observation_id": _observation_id(plan, field, frame.epoch),
        "registration_quality": 0.95,
        "processed_fits_path": frame.science_path,
        "processing_time_seconds": 180,
        **_run_times(frame.conditions, 6, 9),
    }


def _difference_run_id(plan: SkyPlan, field: Field, frame: Frame) -> UUID:
    return plan.row_id(field.name, frame.epoch, "difference")


def _difference_run(plan: SkyPlan, field: Field, frame: Frame) -> Row:
    layout = plan.instrument
    variance = frame.conditions.sky_level / layout.gain + (layout.read_noise / layout.gain) ** 2
    return {
        "id": _difference_run_id(plan, field, frame),
        "observation_id": _observation_id(plan, field, frame.epoch),
        "reference_observation_id": _observation_id(plan, field, "reference"),
        "algorithm": "matched_gaussian",
        "parameters": json.dumps({"sign": "science minus reference"}),
        "difference_image_path": frame.difference_path,
        "noise_level": round(float(np.sqrt(variance)), 6),
        "detection_threshold": LEAST_SNR,
        "candidates_found": len(frame.subjects),
        "processing_time_seconds": 120,
        **_run_times(frame.conditions, 10, 12),
    }


def _places(
    plan: SkyPlan, field: Field, frame: Frame, pixels: list[tuple[float, float]]
) -> list[dict[str, object]]:
    """Return the four position columns of 0-based (x, y) on this frame."""
    sky = sky_positions(plan, field, frame.conditions, pixels)
    return [
        {"ra": ra, "dec": dec, "pixel_x": round(x), "pixel_y": round(y)}
        for (ra, dec), (x, y) in zip(sky, pixels, strict=True)
    ]


def _candidates(plan: SkyPlan, field: Field, frame: Frame) -> list[Row]:
    height, width = plan.frame_size
    sightings = [subject.sighting for subject in frame.subjects]
    places = _places(plan, field, frame, [(s.x, s.y) for s in sightings])
    rows: list[Row] = []
    for subject, place in zip(frame.subjects, places, strict=True):
        s = subject.sighting
        dx, dy = s.ends[2] - s.ends[0], s.ends[3] - s.ends[1]
        sharp = s.source.artifact in {"cosmic_ray", "hot_pixel"}
        width_px = 1.2 if sharp else s.fwhm_px
        to_edge = min(s.x, s.y, width - 1 - s.x, height - 1 - s.y)
        rows.append(
            {
                "id": plan.row_id(field.name, frame.epoch, "candidate", s.source.name),
                "difference_run_id": _difference_run_id(plan, field, frame),
                "observation_id": _observation_id(plan, field, frame.epoch),
                **place,
                "flux": round(s.flux, 6),
                "flux_error": round(abs(s.flux) / s.snr, 6),
                "significance": round(min(s.snr, 99_999.0), 3),
                "snr": round(min(s.snr, 99_999.0), 3),
                "fwhm": round(width_px, 3),
                "ellipticity": round(float(1 - width_px / (width_px + np.hypot(dx, dy))), 3),
                "position_angle": round(float(np.degrees(np.arctan2(dy, dx)) % 180), 2),
                "is_saturated": s.source.artifact == "saturation_bleed",
                "is_edge": to_edge < EDGE_PX,
                "status": "DETECTED" if subject.detections else "PENDING",
                **_created(frame.conditions.time + timedelta(minutes=12)),
            }
        )
    return rows


def _created(at: datetime, updated_at: datetime | None = None) -> dict[str, datetime]:
    return {"created_at": at, "updated_at": updated_at or at}


def _model_run_id(plan: SkyPlan, field: Field, frame: Frame, version: str) -> UUID:
    return plan.row_id(field.name, frame.epoch, "model run", version)


def _model_run(plan: SkyPlan, field: Field, frame: Frame, version: str) -> Row:
    mine = [d for s in frame.subjects for d in s.detections if d.version == version]
    end = found_at(frame.conditions, version)
    return {
        "id": _model_run_id(plan, field, frame, version),
        "model_id": _model_id(plan, version),
        "observation_id": _observation_id(plan, field, frame.epoch),
        "input_image_path": frame.difference_path,
        "inference_time_ms": 850,
        "total_predictions": len(mine),
        "high_confidence_predictions": sum(d.score >= REAL_MODEL_SCORE for d in mine),
        "started_at": end - timedelta(minutes=1),
        "completed_at": end,
        **_created(end - timedelta(minutes=1), end),
    }


def _detections(plan: SkyPlan, field: Field, frame: Frame) -> list[Row]:
    found = [(s, n) for s in frame.subjects for n in range(len(s.detections))]
    pixels = [(s.detections[n].x, s.detections[n].y) for s, n in found]
    rows: list[Row] = []
    for (subject, number), place in zip(found, _places(plan, field, frame, pixels), strict=True):
        detection = subject.detections[number]
        at = found_at(frame.conditions, detection.version)
        rows.append(
            {
                "id": detection_id(plan, field, subject, detection.version),
                "model_run_id": _model_run_id(plan, field, frame, detection.version),
                "observation_id": _observation_id(plan, field, frame.epoch),
                **place,
                "confidence_score": detection.score,
                "detection_type": detection.guess,
                "model_version": detection.version,
                "inference_time_ms": 850,
                **_created(at),
                **_decision([r for r in subject.reviews if r.detection == number]),
            }
        )
    return rows


def _decision(reviews: list[Review]) -> dict[str, object]:
    """Return the columns in which AstrID keeps a detection's latest review."""
    if not reviews:
        return {
            "status": "PENDING",
            "is_validated": False,
            "validation_confidence": None,
            "human_label": None,
        }
    last = reviews[-1]
    accepted = "CONFIRMED" if last.level == "EXPERT" else "VALIDATED"
    return {
        "status": accepted if last.is_valid else "REJECTED",
        "is_validated": last.is_valid,
        "validation_confidence": LEVEL_CONFIDENCE.get(last.level or ""),
        "human_label": last.label,
        "updated_at": last.at,
    }


def _event(plan: SkyPlan, field: Field, frame: Frame, subject: Subject, number: int) -> Row:
    review = subject.reviews[number]
    version = subject.detections[review.detection].version
    name = subject.sighting.source.name
    return {
        "id": plan.row_id(field.name, frame.epoch, "review", name, number),
        "detection_id": detection_id(plan, field, subject, version),
        "validator_id": review.reviewer,
        "is_valid": review.is_valid,
        "label": review.label,
        "confidence_level": review.level,
        "notes": review.notes,
        "tags": None if review.tags is None else json.dumps(review.tags),
        "image_quality": review.image_quality,
        "detection_quality": review.detection_quality,
        **_created(review.at),
    }
