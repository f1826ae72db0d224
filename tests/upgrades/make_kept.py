"""Make `format_N` anew: only when a format version is new. `python tests/upgrades/make_kept.py`."""

import gzip
import json
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text

from astrid_training.api_tokens import create_token
from astrid_training.catalogue import get_dataset
from astrid_training.dataset import splits_from
from astrid_training.migrate import migrate
from astrid_training.simulate import simulate
from astrid_training.store import Store
from astrid_training.trainings import close_training_run, open_training_run
from deployments.embedded import postgres
from deployments.embedded.processes import free_port
from tests.conftest import Sky, _collect_from
from tests.upgrades.kept import EXPECTED, FOLDER, PLAN, dump_rows, tensors_digest

PARAMS: dict[str, Any] = {
    "name": "kept",
    "survey_ids": ["sim_kept"],
    "preprocess": {"stamp_size": 16, "margin": 2},
}
KEPT = ("images", "flags", "significance", "masks", "measures", "samples")
OTHERS = """
INSERT INTO training_quarantine (uri, etag, guard_version, reason, detail) VALUES ('raw/x.fits', 'e', 1, 'not_fits', 'no SIMPLE');
INSERT INTO training_validation_batches (batch_id, closed_at, detection_ids) SELECT 'night-1', now(), array_agg(id) FROM detections;
INSERT INTO training_freshness_breaches (kind, survey, detail) VALUES ('age', 'sim_kept', 'two days old');
INSERT INTO training_run_steps VALUES (gen_random_uuid(), 'whole', 1.5, 1, 0.5, 10, 20, 30, 20, 10, 1, 0, 0);
INSERT INTO training_review_queues (as_of, params, created_by) VALUES (now(), '{"count": 1}', 'ada');
INSERT INTO training_review_queue_items (queue_id, position, detection_id, selected_for, score, uncertainty, disagreement, rarity, n_votes)
SELECT q.id, 1, d.id, 'queue', 1, 1, 0, 0, 0 FROM training_review_queues q, (SELECT id FROM detections LIMIT 1) d;
"""


def main() -> None:
    """Collect, and write down what that left."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        cluster, port = postgres.prepare(home), free_port(None)
        postgres.start(cluster, port, {}, home / "log")
        while not postgres.answers(cluster, port):
            time.sleep(0.1)
        try:
            _make(create_engine(postgres.cluster_url(cluster, port, "postgres")), home)
        finally:
            postgres.discard(home)


def _make(engine: Engine, home: Path) -> None:
    migrate(engine)
    store = Store(f"file://{home}/store")

    def put(key: str, data: bytes) -> str:
        store.put(key, data)
        return key

    with engine.begin() as connection:
        simulate(PLAN, connection, put, home / "truth")
    half = text(
        "SELECT percentile_disc(0.6) WITHIN GROUP (ORDER BY created_at) FROM validation_events"
    )
    with engine.connect() as connection:
        until = connection.execute(half).scalar_one()
    collect = _collect_from(Sky(engine, home, home / "truth", store))
    collect(**PARAMS, as_of=until, max_samples=6)
    published = collect(**PARAMS, as_of=until)
    opened = open_training_run(engine, published.dataset_id, {"steps": 1}, "key")
    close_training_run(engine, opened.id, metrics={"loss": 0.1})
    create_token(engine, "web", ["read"], "ada")
    with engine.begin() as connection:
        connection.exec_driver_sql(OTHERS)
    _write(engine, store, home, published.dataset_id)


def _write(engine: Engine, store: Store, home: Path, dataset_id: str) -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    rows = dump_rows(engine)
    assert all(rows.values()), [name for name, found in rows.items() if not found]
    FOLDER.mkdir()
    packed = gzip.compress(json.dumps(rows, sort_keys=True).encode(), mtime=0)
    (FOLDER / "rows.json.gz").write_bytes(packed)
    kept = Store((FOLDER / "store").as_uri())
    for folder in KEPT:  # what datasets and the catalogue of built stamps name
        for info in store.objects(folder):
            kept.put(info.key, store.get(info.key))
    record = get_dataset(engine, dataset_id)
    expected = {
        "made": f"{datetime.now(UTC):%Y-%m-%d}",
        "dataset_id": dataset_id,
        "version_id": record.version_id,
        "digests": record.digests,
        "splits": record.splits,
        "tensors": tensors_digest(splits_from(record, kept, home / "cache")),
    }
    EXPECTED.write_text(json.dumps(expected, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
