"""What a dataset is, said in digests: what was asked, read, labelled, built and divided."""

import json
from collections.abc import Mapping
from datetime import datetime

import pyarrow as pa

from astrid_training.digests import digest_bytes, digest_many, digest_value
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.taxonomy import taxonomy

__all__ = ["dataset_digests", "query_digest", "version_id"]

NOT_ASKED = {
    "as_of",
    "name",
    "description",
    "batch_samples",
    "workers",
    "trigger_training",
    "training_steps",
}
"""Parameters that do not say which samples are wanted; as_of is given apart, resolved."""


def dataset_digests(samples: pa.Table) -> dict[str, str]:
    """Return the label, content and split digests of samples, in whatever order they come.

    Content is what a model sees: pixels, masks and labels of each sample. It does not depend on
    packs, batches, workers or places.

    Args:
        samples: sample_key, image_digest, mask_digest, anomaly_type, p_real, split, votes.
    """
    columns = (
        "sample_key",
        "image_digest",
        "mask_digest",
        "anomaly_type",
        "p_real",
        "split",
        "votes",
    )
    rows = samples.select(columns).sort_by("sample_key").to_pylist()
    keyed = [(row, f"{row['anomaly_type']}|{row['p_real']:.6f}") for row in rows]
    labels = [f"{row['sample_key']}|{label}|{_event_ids(row['votes'])}" for row, label in keyed]
    return {
        "label": digest_many([taxonomy().digest, *labels]),
        "content": digest_many(
            f"{row['sample_key']}|{row['image_digest']}|{row['mask_digest']}|{label}"
            for row, label in keyed
        ),
        "split": digest_many(f"{row['sample_key']}|{row['split']}" for row in rows),
    }


def query_digest(
    params: TrainingDataCollectionParams, as_of: datetime, schema_version: int, ledger_head: int
) -> str:
    """Return the digest of what was asked, and of what the answer depended on beside the rows."""
    asked = params.model_dump(mode="json", exclude=NOT_ASKED)
    for name in ("survey_ids", "bands", "anomaly_types"):
        asked[name] = asked[name] and sorted(set(asked[name]))
    return digest_value([asked, as_of.isoformat(), schema_version, ledger_head])


def version_id(digests: Mapping[str, str]) -> str:
    """Return the name of a version: 16 hex digits of content and split together."""
    return digest_bytes(f"{digests['content']}|{digests['split']}".encode())[:16]


def _event_ids(votes: str) -> str:
    return ",".join(sorted(vote["event_id"] for vote in json.loads(votes)))
