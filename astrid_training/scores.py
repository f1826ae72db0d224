"""A collection judged as a whole: each sample's score among its peers, and the gates."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from astrid_training.params import TrainingDataCollectionParams
from astrid_training.quality import (
    DataQualityReport,
    DataQualityValidator,
    reference_values,
    sample_scores,
)
from astrid_training.records import Reject
from astrid_training.selection import STEP as LABEL_STEP

__all__ = ["assess"]


def assess(
    samples: pa.Table, rejects: Sequence[Reject], params: TrainingDataCollectionParams
) -> tuple[pa.Table, DataQualityReport]:
    """Return the samples with their quality_score, and the report with its gates judged.

    Args:
        samples: labels, splits and `measure.MEASUREMENTS` of each sample.
        rejects: all that left; those that left for their pixels lower the coverage.
        params: thresholds and overrides.
    """
    survey, band, exposure = (
        samples[name].to_pylist() for name in ("survey", "band", "observation_id")
    )
    references = reference_values(samples, survey, band, exposure)
    scores = sample_scores(samples, survey, band, references)
    samples = samples.append_column("quality_score", pa.array(scores, mask=np.isnan(scores)))
    lost = sum(reject.step != LABEL_STEP for reject in rejects)
    validator = DataQualityValidator(
        params.quality_score_threshold,
        samples.num_rows + lost,
        lost,
        allow_one_class=params.allow_one_class,
    )
    judged = samples.append_column("validator_agreement", samples["agreement"])
    return samples, validator.validate_training_data(judged)
