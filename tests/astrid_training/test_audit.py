"""Who did what is kept with the deed, and only then."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from astrid_training import gc
from astrid_training.api_tokens import TokenExistsError, create_token, revoke_token
from astrid_training.audit import AuditRow, read_audit
from astrid_training.backup import back_up, restore
from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.packs import PackCache
from astrid_training.records import PublishedDataset
from astrid_training.store import Store
from astrid_training.users import user_name
from deployments.embedded.postgres import client_program

pytestmark = pytest.mark.trust
Collect = Callable[..., PublishedDataset]


def deeds(engine: Engine, **wanted: Any) -> list[tuple[str, str, str]]:
    return [(row.action, row.subject, row.by) for row in read_audit(engine, **wanted)][::-1]


def test_a_datasets_life_is_told_from_its_collection_on(sky: Any, collect: Collect) -> None:
    first = collect(max_samples=60).dataset_id
    second = collect(max_samples=60).dataset_id  # the same content: nothing was done
    third = collect(max_samples=80).dataset_id
    manager = TrainingDatasetManager(sky.engine, sky.store, PackCache(sky.store, sky.home))
    origin = manager.get_dataset(third)
    chosen = manager.create_dataset(manager.samples(origin), "chosen", created_by="ada")
    manager.revoke(third, "a bad night", "bob")
    manager.revoke(third, "once more", "eve")

    assert second == first
    assert deeds(sky.engine) == [
        ("collected", first, "tester"),
        ("superseded", first, "tester"),
        ("collected", third, "tester"),
        ("derived", chosen, "ada"),
        ("revoked", third, "bob"),
    ]
    (revoked, collected) = read_audit(sky.engine, subject=third)
    assert revoked.detail == {"reason": "a bad night"}
    assert collected.detail["flow_run_id"] == "no-flow-run"
    assert deeds(sky.engine, by="ada") == [("derived", chosen, "ada")]
    assert deeds(sky.engine, limit=1) == [("revoked", third, "bob")]


def test_tokens_are_told_of_and_never_what_they_are(database: Engine) -> None:
    token = create_token(database, "web", ["read", "manage"], "ada", timedelta(days=1))
    with pytest.raises(TokenExistsError):
        create_token(database, "web", ["read"], "eve")
    for by in ("bob", "eve"):
        revoke_token(database, "web", by)

    assert deeds(database) == [("token created", "web", "ada"), ("token revoked", "web", "bob")]
    created = read_audit(database)[-1]
    assert created.detail["scopes"] == ["manage", "read"]
    assert isinstance(created, AuditRow)
    assert token not in str(read_audit(database))


@pytest.mark.slow
def test_what_is_cleared_away_is_told_of_and_what_is_counted_is_not(
    sky: Any, collect: Collect
) -> None:
    collect(max_samples=40)
    with sky.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE training_objects SET wanted_at = now() - interval '99 days'"
        )
    ago = timedelta(seconds=-5)  # all that was ever written
    assert gc.find_garbage(sky.engine, sky.store, ago)
    before = deeds(sky.engine)
    removed = gc.clear_away(sky.engine, sky.store, ago, by="ada")

    (told,) = [row for row in read_audit(sky.engine) if row.action == "objects removed"]
    assert len(before) == 1
    assert (told.subject, told.by) == (sky.store.url, "ada")
    assert told.detail == {"objects": len(removed), "bytes": sum(one.size for one in removed)}


@pytest.mark.slow
def test_stamps_that_are_forgotten_are_told_of(sky: Any, collect: Collect) -> None:
    collect(max_samples=40)
    manager = TrainingDatasetManager(sky.engine)
    with sky.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO training_image_catalogue (sample_key, spec_fingerprint, input_digest, image_pack, pack_row, at) "
            "VALUES (repeat('a', 32), repeat('b', 64), repeat('c', 64), repeat('d', 64), 0, now() - interval '99 days')"
        )
    manager.delete_leftovers()
    assert manager.delete_leftovers(dry_run=False, by="ada") == 1
    manager.delete_leftovers(dry_run=False, by="eve")

    (told,) = [row for row in read_audit(sky.engine) if row.action == "stamps forgotten"]
    assert (told.by, told.detail) == ("ada", {"stamps": 1})


@pytest.mark.slow
def test_a_database_that_was_brought_back_says_so(
    database: Engine, databases: Any, tmp_path: Path
) -> None:
    create_token(database, "web", ["read"], "ada")
    store, url = Store(f"file://{tmp_path}/store"), database.url
    back_up(url.render_as_string(hide_password=False), store, tmp_path / "copy", client_program)
    other = databases.make()
    restore(
        other.url.render_as_string(hide_password=False), store, tmp_path / "copy", client_program
    )

    folder = (tmp_path / "copy").as_uri()
    assert deeds(other)[1:] == [("restored", folder, user_name())]
    databases.drop(other)
