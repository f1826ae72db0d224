"""What a dataset is, said in digests: what was asked, read, labelled, built and divided."""

import json
from collections.abc import Mapping
from datetime import datetime

import pyarrow as pa

from astrid_training.digests import TextDigest, digest_bytes, digest_value
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.taxonomy import taxonomy

__all__ = ["dataset_digests", "query_digest", "version_id"]

NOT_ASKED = {
    "as_of",
    "name",
    "description",
    "batch_samples",
    "workers",
    "runner",
    "dask_address",
    "trigger_training",
    "training_steps",
}
"""Parameters that do not say which samples are wanted; as_of is given apart, resolved."""
ROWS_AT_ONCE = 4096  # as Python objects


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
    label, content, split = TextDigest(), TextDigest(), TextDigest()
    label.add(taxonomy().digest)
    for some in samples.select(columns).sort_by("sample_key").to_batches(ROWS_AT_ONCE):
        for key, image, mask, name, p_real, part, votes in zip(
            *(column.to_pylist() for column in some.columns), strict=True
        ):
            said = f"{name}|{p_real:.6f}"
            label.add(f"{key}|{said}|{_event_ids(votes)}")
            content.add(f"{key}|{image}|{mask}|{said}")
            split.add(f"{key}|{part}")
    return {"label": str(label), "content": str(content), "split": str(split)}


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
