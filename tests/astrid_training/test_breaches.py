"""A breach is told once when it comes and once when it goes, whoever looks and however often."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Engine

from astrid_training.breaches import Breach, settle_breaches, tell_breaches

WAITING = Breach("waiting", "ztf", "", "a review has waited 40 h")
QUALITY = Breach("quality", "ztf", "g", "fwhm_px 9, usual 2 to 3")
Told = list[tuple[str, str]]


def settle(database: Engine, *found: Breach, looked_at: tuple[str, ...] = ("ztf",)) -> list[int]:
    with database.begin() as connection:
        opened, closed = settle_breaches(connection, found, looked_at)
    return [len(opened), len(closed)]


def told(database: Engine) -> list[str]:
    found: Told = []
    tell_breaches(database, lambda subject, body: found.append((subject, body)))
    return [subject for subject, _ in found]


def test_a_breach_opens_once_is_told_once_and_recovers_once(database: Engine) -> None:
    assert settle(database, WAITING) == [1, 0]
    assert told(database) == ["astrid-training: ztf stale: waiting"]
    assert settle(database, WAITING, QUALITY) == [1, 0]
    assert told(database) == ["astrid-training: ztf g stale: quality"]
    assert settle(database, QUALITY) == [0, 1]
    assert told(database) == ["astrid-training: ztf recovered: waiting"]
    assert settle(database, QUALITY) == [0, 0]
    assert told(database) == []


def test_one_that_comes_again_is_told_again(database: Engine) -> None:
    for _ in range(2):
        settle(database, WAITING)
        assert told(database) == ["astrid-training: ztf stale: waiting"]
        settle(database)
        assert told(database) == ["astrid-training: ztf recovered: waiting"]


def test_one_that_went_before_anybody_was_told_is_not_told(database: Engine) -> None:
    settle(database, WAITING)
    settle(database)

    assert told(database) == []


def test_breaches_of_surveys_that_were_not_looked_at_stay(database: Engine) -> None:
    settle(database, WAITING)

    assert settle(database, looked_at=("hst",)) == [0, 0]
    assert settle(database, looked_at=("hst", "ztf")) == [0, 1]


def test_what_is_not_taken_is_told_by_the_next_call_and_nothing_twice(database: Engine) -> None:
    settle(database, WAITING, QUALITY)
    heard: list[str] = []

    def tell(subject: str, _body: str) -> None:
        if heard:
            raise ConnectionError(subject)
        heard.append(subject)

    with pytest.raises(ConnectionError):
        tell_breaches(database, tell)

    assert sorted(heard + told(database)) == [
        "astrid-training: ztf g stale: quality",
        "astrid-training: ztf stale: waiting",
    ]
    assert told(database) == []


def test_of_runs_that_look_at_once_one_opens_and_one_tells(database: Engine) -> None:
    start, heard = Barrier(4), list[str]()

    def look(_number: int) -> list[int]:
        start.wait(timeout=30)
        found = settle(database, WAITING)
        tell_breaches(database, lambda subject, _body: heard.append(subject))
        return found

    with ThreadPoolExecutor(4) as pool:
        opened = [one for one, _ in pool.map(look, range(4))]

    assert sorted(opened) == [0, 0, 0, 1]
    assert heard == ["astrid-training: ztf stale: waiting"]
