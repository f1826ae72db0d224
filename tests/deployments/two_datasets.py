"""Two versions of a dataset in a database and a store, without a collection."""

from uuid import UUID, uuid4

import pyarrow as pa
from sqlalchemy import Engine, text

from astrid_training.packs import put_table
from astrid_training.store import Store

ROW = """
INSERT INTO training_datasets (
    id, name, status, version_id, parent_id, created_at, collection_params, total_samples,
    anomaly_ratio, quality_score, quality_report, created_by, splits, classes, funnel,
    preprocess_spec, spec_fingerprint, query_digest, source_digest, label_digest, content_digest,
    split_digest, samples_key, format_version)
VALUES (
    :id, 'nightly', :status, :version, :parent, make_timestamptz(2026, 3, :day, 12, 0, 0, 'UTC'),
    '{}', 1, 0.5, 0.9, '{}', 'ada', '{}', '{}', '[]', '{}', '', '', '', '', '', '', :samples_key, 1)
"""
OLDER, NEWER = "0" * 16, "1" * 16


def publish_versions(engine: Engine, store: Store, older: pa.Table, newer: pa.Table) -> list[UUID]:
    """Enter `nightly` twice, the newer one with the older one as its parent; return their ids."""
    ids = [uuid4(), uuid4()]
    with engine.begin() as connection:
        for day, (table, version) in enumerate(((older, OLDER), (newer, NEWER)), start=1):
            values = {
                "id": ids[day - 1],
                "status": ("superseded", "active")[day - 1],
                "version": version,
                "parent": (None, ids[0])[day - 1],
                "day": day,
                "samples_key": f"samples/{put_table(store, 'samples', table)}.parquet",
            }
            connection.execute(text(ROW), values)
    return ids
