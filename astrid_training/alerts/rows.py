"""An alert as rows of AstrID's tables: ids are made from names, so a repeated import adds none."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from astrid_training.alerts.alert import Alert
from astrid_training.alerts.labels import GivenLabel
from astrid_training.surveys import SurveyProfile, profile_for

__all__ = ["TABLES", "Row", "alert_rows", "detection_id", "event_row", "stamp_key", "survey_row"]

NAMESPACE = UUID("b0a3a2f7-6a0e-5a54-8f3e-0d6d0f6f5c29")  # of all imported rows; never change it
TABLES = ("models", "observations", "difference_runs", "candidates", "model_runs", "detections")
"""In an order in which no row comes before one that it refers to."""
USUAL_EXPOSURE_S = 30.0  # of ZTF and of Rubin; the column takes no NULL

Row = Mapping[str, Any]


def _id(*names: object) -> UUID:
    return uuid5(NAMESPACE, "|".join(map(str, names)))


def detection_id(alert: Alert) -> UUID:
    """Return the id of the alert's row in detections."""
    return _id(alert.survey, "detection", alert.alert_id)


def stamp_key(alert: Alert) -> str:
    """Return the object key of the alert's stamps."""
    return f"stamps/{alert.survey}/{alert.alert_id}.fits"


def survey_row(name: str, now: datetime) -> Row:
    """Return the row of a survey whose alerts are imported."""
    return {
        "id": _id(name, "survey"),
        "name": name,
        "description": f"Imported alerts of {name}.",
        "is_active": True,
        "created_at": now,
        "updated_at": now,
    }


def alert_rows(alert: Alert, survey_id: UUID, pixel: tuple[int, int]) -> dict[str, list[Row]]:
    """Return the rows of an alert but its survey's, by table.

    Alerts that share an exposure give the same rows of it, so that it is entered once.

    Args:
        alert: what was announced.
        survey_id: of the row in surveys.
        pixel: 0-based (column, row) of the detection on its cutouts.
    """
    profile = profile_for(alert.survey, "stamp")
    at = {"created_at": alert.observed, "updated_at": alert.observed}
    observation = _id(alert.survey, "observation", alert.exposure)
    model = _id(alert.survey, "model", alert.scored_by)
    run = _id(alert.survey, "model run", alert.exposure, alert.scored_by)
    subtraction = _id(alert.survey, "difference", alert.exposure)
    place = {
        "observation_id": observation,
        "ra": round(alert.ra_deg, 7),
        "dec": round(alert.dec_deg, 7),
        "pixel_x": pixel[0],
        "pixel_y": pixel[1],
    }
    rows: dict[str, Row] = {
        "models": {
            "id": model,
            "name": f"{alert.survey} alerts"[:100],
            "version": alert.scored_by[:50],
            "model_type": "CLASSIFIER",
            "is_active": False,
            **at,
        },
        "observations": _observation(alert, profile, survey_id, observation),
        "difference_runs": {
            "id": subtraction,
            "observation_id": observation,
            "status": "COMPLETED",
            "algorithm": "by the survey",
            "candidates_found": 0,
            "retry_count": 0,
            **at,
        },
        "candidates": _candidate(alert, subtraction) | place,
        "model_runs": {
            "id": run,
            "model_id": model,
            "observation_id": observation,
            "status": "COMPLETED",
            **at,
        },
        "detections": _detection(alert, run) | place,
    }
    return {table: [row] for table, row in rows.items()}


def _observation(alert: Alert, profile: SurveyProfile, survey_id: UUID, row_id: UUID) -> Row:
    return {
        "id": row_id,
        "survey_id": survey_id,
        "observation_id": f"{alert.survey}_{alert.exposure}"[:255],
        "ra": round(alert.ra_deg, 7),  # of its first alert: packets do not tell the frame's centre
        "dec": round(alert.dec_deg, 7),
        "observation_time": alert.observed,
        "filter_band": alert.band[:50],
        "exposure_time": alert.exposure_s or USUAL_EXPOSURE_S,
        "fits_url": "",  # there is no frame; each detection brings its stamps
        "pixel_scale": profile.pixel_scale_arcsec,
        "seeing": alert.seeing_arcsec,
        "status": "differenced",
        "created_at": alert.observed,
        "updated_at": alert.observed,
    }


def _candidate(alert: Alert, subtraction: UUID) -> dict[str, Any]:
    return {
        "id": _id(alert.survey, "candidate", alert.alert_id),
        "difference_run_id": subtraction,
        "snr": None if alert.snr is None else min(alert.snr, 99_999.0),
        "fwhm": None if alert.fwhm_px is None else min(alert.fwhm_px, 99_999.0),
        "ellipticity": None if alert.elongation is None else max(1 - 1 / alert.elongation, 0.0),
        "is_saturated": False,
        "is_blended": False,
        "is_edge": False,
        "status": "DETECTED",
        "created_at": alert.observed,
        "updated_at": alert.observed,
    }


def _detection(alert: Alert, run: UUID) -> dict[str, Any]:
    facts = {
        **alert.facts,
        "alert_id": alert.alert_id,
        "object_id": alert.object_id,
        "program_id": alert.program_id,
        "stamp_path": stamp_key(alert),
        "has_score": alert.score is not None,
    }
    return {
        "id": detection_id(alert),
        "model_run_id": run,
        "confidence_score": min(max(alert.score or 0.0, 0.0), 1.0),
        "detection_type": "UNKNOWN",
        "model_version": alert.scored_by[:50],
        "prediction_metadata": facts,
        "status": "PENDING",
        "is_validated": False,
        "created_at": alert.observed,
        "updated_at": alert.observed,
    }


def event_row(alert: Alert, label: GivenLabel, number: int, now: datetime) -> Row:
    """Return the validation event that a given label is.

    Args:
        alert: what was labelled.
        label: the label; its tier is the validator.
        number: how many events of this validator the alert has already.
        now: when it is entered.
    """
    return {
        "id": _id(alert.survey, "label", alert.alert_id, label.tier, number),
        "detection_id": detection_id(alert),
        "validator_id": label.tier,
        "is_valid": label.is_valid,
        "label": label.word,
        "confidence_level": label.level,
        "notes": label.notes,
        "tags": {"label_source": label.source, "label_tier": label.tier},
        "created_at": now,
        "updated_at": now,
    }
