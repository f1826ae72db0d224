"""After everything is lost, a copy brings back the same datasets with the same pixels."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from astrid_training.backup import BackupError, back_up, restore
from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.presence import check_objects, objects_of
from astrid_training.samples import read_samples
from deployments.embedded.postgres import client_program


def url_of(engine: Any) -> str:
    url: str = engine.url.render_as_string(hide_password=False)
    return url


def test_what_is_lost_comes_back_and_loads(
    sky: Any, collect: Any, databases: Any, tmp_path: Path
) -> None:
    made = collect()
    copy = tmp_path / "copy"

    first = back_up(url_of(sky.engine), sky.store, copy, client_program)
    again = back_up(url_of(sky.engine), sky.store, copy, client_program)
    assert first.objects > 5
    assert again.objects == 0
    assert (copy.stat().st_mode & 0o777) == 0o700
    assert not list(copy.rglob("raw/*")), "survey files are not ours"

    shutil.rmtree(sky.home / "store" / "images")
    elsewhere = databases.make()
    try:
        back = restore(url_of(elsewhere), sky.store, copy, client_program)

        assert 0 < back.objects < first.objects
        dataset = TrainingDatasetManager(elsewhere).get_dataset(made.name)
        assert dataset.digests == made.digests
        samples = read_samples(sky.store, dataset.samples_key)
        check_objects(elsewhere, sky.store, objects_of(samples))
    finally:
        databases.drop(elsewhere)


def test_a_database_that_does_not_take_it_stays_as_it_was(
    sky: Any, collect: Any, tmp_path: Path
) -> None:
    collect()
    copy = tmp_path / "copy"
    back_up(url_of(sky.engine), sky.store, copy, client_program)
    dump = copy / "database.dump"
    dump.write_bytes(dump.read_bytes()[:-2000])

    with pytest.raises(BackupError, match="pg_restore failed") as caught:
        restore(url_of(sky.engine), sky.store, copy, client_program)

    assert str(sky.engine.url.password) not in str(caught.value)
    with sky.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM training_datasets")).scalar_one() == 1


def test_a_database_that_is_newer_than_the_copy_is_left_alone(sky: Any, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    back_up(url_of(sky.engine), sky.store, copy, client_program)
    with sky.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO training_migrations (number, name, digest, outcome) "
                "VALUES (9999, '9999_future', repeat('a', 64), 'applied')"
            )
        )

    with pytest.raises(BackupError, match=r"lacks 9999_future; restore into an empty database"):
        restore(url_of(sky.engine), sky.store, copy, client_program)


def test_without_a_copy_or_a_database_it_says_so(sky: Any, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="astrid-training backup"):
        restore(url_of(sky.engine), sky.store, tmp_path / "copy", client_program)
    with pytest.raises(BackupError, match="pg_dump failed"):
        back_up("postgresql://u:s3cr3t@127.0.0.1:9/d", sky.store, tmp_path / "copy", client_program)
    assert list((tmp_path / "copy").iterdir()) == []
