"""Publishing needs one connection at a time, and what it relies on has been looked at."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from astrid_training import publish
from astrid_training.records import PublishedDataset

CollectFrom = Callable[[Any], Callable[..., PublishedDataset]]


@pytest.fixture
def narrow(sky: Any) -> Iterator[Any]:
    """The small sky, reached by one connection; who waits for a second is told so soon."""
    engine = create_engine(sky.engine.url, pool_size=1, max_overflow=0, pool_timeout=2)
    yield replace(sky, engine=engine)
    engine.dispose()


def test_one_connection_is_enough_to_publish_and_to_find_the_same_again(
    narrow: Any, collect_from: CollectFrom
) -> None:
    first = collect_from(narrow)()
    again = collect_from(narrow)()

    assert not first.reused
    assert again.reused
    assert again.dataset_id == first.dataset_id


def retire(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE training_datasets SET status = 'superseded'"))


def restore(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE training_datasets SET status = 'active'"))


def test_a_dataset_that_becomes_the_same_while_objects_are_looked_at_is_looked_at_too(
    narrow: Any, collect_from: CollectFrom, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect = collect_from(narrow)
    first = collect()
    retire(narrow.engine)
    looked = []

    def look(engine: Engine, store: Any, keys: Any) -> None:
        looked.append(len(keys))
        restore(narrow.engine)  # another publisher, in the time that this takes

    monkeypatch.setattr(publish, "check_objects", look)

    again = collect()

    assert again.reused
    assert again.dataset_id == first.dataset_id
    assert len(looked) == 2


def test_a_dataset_that_is_retired_meanwhile_is_not_relied_on(
    narrow: Any, collect_from: CollectFrom, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect = collect_from(narrow)
    first = collect()
    looked = []

    def look(engine: Engine, store: Any, keys: Any) -> None:
        looked.append(len(keys))
        retire(narrow.engine)

    monkeypatch.setattr(publish, "check_objects", look)

    again = collect()

    assert not again.reused
    assert again.digests["content"] == first.digests["content"]
    assert len(looked) == 2
