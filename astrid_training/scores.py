"""A collection judged as a whole: each sample's score among its peers, and the gates."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from astrid_training.params import TrainingDataCollectionParams
from astrid_training.quality import (
    DataQualityReport,
    DataQualityValidator,
    observing,
    reference_values,
    sample_scores,
)
from astrid_training.records import Reject, count_rejects
from astrid_training.surveys.profiles import BandReference

__all__ = ["UNUSABLE_STEPS", "assess"]

UNUSABLE_STEPS = frozenset({"download_fits", "preprocess", "make_masks", "score_quality"})
"""Steps at which a subject leaves for its files or pixels, never for its label or its place."""


def assess(
    samples: pa.Table,
    rejects: Sequence[Reject],
    params: TrainingDataCollectionParams,
    notes: Mapping[str, Any],
) -> tuple[pa.Table, DataQualityReport]:
    """Return the samples with their quality_score, and the report with its gates judged.

    Args:
        samples: labels, splits and `measure.MEASUREMENTS` of each sample.
        rejects: all that left; those that left for their files or pixels lower the coverage.
        params: thresholds and overrides.
        notes: what became of the reviews; `consistency` of it is judged.
    """
    survey, band, exposure = (
        samples[name].to_pylist() for name in ("survey", "band", "observation_id")
    )
    references = reference_values(samples, survey, band, exposure)
    scores = sample_scores(samples, survey, band, references)
    samples = samples.append_column("quality_score", pa.array(scores, mask=np.isnan(scores)))
    lost = sum(reject.step in UNUSABLE_STEPS for reject in rejects)
    validator = DataQualityValidator(
        params.quality_score_threshold,
        samples.num_rows + lost,
        lost,
        overrides=params.overrides,
        channels=params.preprocess.channels,
        consistency=notes.get("consistency"),
        drops=count_rejects(rejects),
    )
    report = replace(
        validator.validate_training_data(samples),
        observing=observing(samples, survey, band, references),
        references=_by_survey(references),
    )
    return samples, report


def _by_survey(
    references: Mapping[tuple[str, str], BandReference],
) -> dict[str, dict[str, dict[str, float | None]]]:
    told: dict[str, dict[str, dict[str, float | None]]] = {}
    for (survey, band), reference in references.items():
        told.setdefault(survey, {})[band] = reference.model_dump()
    return told
