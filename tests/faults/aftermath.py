"""What must hold after a collection, whatever befell it."""

import re
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, text

from astrid_training.digests import digest_bytes
from astrid_training.gc import clear_away
from astrid_training.presence import objects_of
from astrid_training.reconcile import half_published
from astrid_training.records import PublishedDataset
from astrid_training.samples import read_samples
from astrid_training.store import Store

__all__ = ["check_after_failure", "check_dataset", "check_objects"]

SOURCES = ("raw", "difference")
"""Folders of the survey's files, which are not ours."""
UNFINISHED = re.compile(r"#\d+$")  # what a killed client leaves in a folder
TABLES = (
    "training_datasets",
    "training_samples",
    "training_rejects",
    "training_split_ledger",
    "training_split_members",
)
"""What is written in the publishing transaction."""
AT_ONCE = timedelta(minutes=-1)  # what is a moment old is old enough


def check_after_failure(engine: Engine) -> None:
    """Return if all of a dataset is in the database, or none."""
    with engine.connect() as connection:
        rows = [
            connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
            for table in TABLES
        ]
    assert rows[0] <= 1
    assert all(rows) or not any(rows), dict(zip(TABLES, rows, strict=True))


def check_dataset(
    engine: Engine, store: Store, published: PublishedDataset, undisturbed: PublishedDataset
) -> None:
    """Return if what was published is what an undisturbed collection publishes, whole and once.

    Args:
        engine: of the database, without faults.
        store: without faults.
        published: by the collection that something befell.
        undisturbed: what another one published that nothing befell, of the same files in any store.
    """
    for name in ("content", "label", "split"):
        assert published.digests[name] == undisturbed.digests[name]
    assert published.funnel == undisturbed.funnel
    assert published.splits == undisturbed.splits
    check_after_failure(engine)
    with engine.connect() as connection:
        dataset = connection.execute(
            text("SELECT id::text, status, funnel FROM training_datasets")
        ).one()
        assert (dataset.id, dataset.status) == (published.dataset_id, "active")
        _check_samples(connection, store, published)
        _check_ledger(connection, published)
        _check_funnel(connection, dataset.funnel)
        built = _built(connection)
        assert built
        assert all(store.head(key) is not None for key in built)
        found = half_published(connection, store, datetime.now(UTC) + timedelta(minutes=1))
        assert [one.kind for one in found] == ["dataset without lineage"]  # the library logs none


def _check_samples(connection: Connection, store: Store, published: PublishedDataset) -> None:
    rows = connection.execute(
        text("SELECT sample_key, split, image_path, mask_path FROM training_samples")
    ).all()
    kept = [row for row in rows if row.split != "quarantine"]
    assert len(kept) == published.total_samples
    assert len({row.sample_key for row in rows}) == len(rows)
    assert {name: sum(r.split == name for r in kept) for name in published.splits} == (
        published.splits
    )
    packs: dict[str, int] = {}
    for row in rows:
        for path in (row.image_path, row.mask_path):
            url, _, number = path.partition("#")
            assert url.startswith(f"{store.url}/")
            key = url.removeprefix(f"{store.url}/")
            if key not in packs:
                packs[key] = len(np.load(BytesIO(store.get(key)), allow_pickle=False))
            assert 0 <= int(number) < packs[key]


def _check_ledger(connection: Connection, published: PublishedDataset) -> None:
    ledger = connection.execute(
        text("SELECT group_key, split, first_dataset::text AS first FROM training_split_ledger")
    ).all()
    groups = [row.group_key for row in ledger]
    assert len(set(groups)) == len(groups)
    assert {row.first for row in ledger} == {published.dataset_id}
    divided = connection.execute(
        text(
            "SELECT s.sample_key, s.split, l.split AS settled FROM training_samples s"
            " LEFT JOIN training_split_members m USING (sample_key)"
            " LEFT JOIN training_split_ledger l ON l.group_key = m.group_key"
            " WHERE s.split <> 'quarantine'"
        )
    ).all()
    assert all(row.split == row.settled for row in divided)


def _check_funnel(connection: Connection, funnel: list[dict[str, Any]]) -> None:
    dropped = sum(row["count"] for row in funnel[1:] if row["reason"] != "kept")
    selected, *_, last = funnel
    assert selected["count"] == dropped + last["count"], funnel
    rejects = connection.execute(
        text("SELECT count(*) FROM training_rejects WHERE detection_id IS NOT NULL")
    ).scalar_one()
    assert rejects == dropped


def check_objects(engine: Engine, store: Store, folder: Path) -> None:
    """Return if each object has the content that its name promises, and its use or its end.

    Args:
        engine: of the database, without faults.
        store: without faults; what nothing refers to is cleared away.
        folder: where its objects lie.
    """
    there = _files(folder)
    for key in there:
        if not UNFINISHED.search(key):
            assert digest_bytes((folder / key).read_bytes()) == PurePosixPath(key).stem
    with engine.connect() as connection:
        samples = connection.execute(text("SELECT samples_key FROM training_datasets")).scalar_one()
        named = _built(connection)
    needed = objects_of(read_samples(store, samples)) | {samples}
    assert needed <= there
    cleared = {info.key for info in clear_away(engine, store, AT_ONCE)}
    assert not cleared & needed
    left = _files(folder)
    assert left == there - cleared
    assert left <= needed | named


def _built(connection: Connection) -> set[str]:
    """Return the keys that the catalogue names."""
    entries = connection.execute(
        text(
            "SELECT DISTINCT image_pack, flag_pack, significance_pack, measure_table"
            " FROM training_image_catalogue WHERE image_pack IS NOT NULL"
        )
    )
    places = (("images", "npy"), ("flags", "npy"), ("significance", "npy"), ("measures", "parquet"))
    return {
        f"{kind}/{digest}.{suffix}"
        for entry in entries
        for (kind, suffix), digest in zip(places, entry, strict=True)
    }


def _files(folder: Path) -> set[str]:
    """Return the keys of all that lies in the store and is not the survey's."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in paths if path.parts[0] not in SOURCES}
