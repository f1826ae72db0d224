"""Who was not heard while nobody listened is listened for; what a dataset lacks is named."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from astrid_training.packs import pack_key
from astrid_training.reconcile import half_published, listen_for
from astrid_training.samples import read_samples

SILENCE_S = 600.0
NEEDED_S = SILENCE_S / 2
HEARTBEAT_S = 180.0


class Clock:
    """A server that hears heartbeats, and the time, which passes when somebody sleeps."""

    def __init__(self, beats: dict[str, list[float]], away: Sequence[tuple[float, float]]) -> None:
        self.now = 0.0
        self._beats, self._away = beats, away

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def silent(self, runs: Sequence[str]) -> list[str]:
        """Return the runs of which no heartbeat of the last ten minutes has come.

        Raises:
            ConnectionError: while the server is away.
        """
        if not self._answers(self.now):
            raise ConnectionError("nobody answers")
        return [run for run in runs if not any(self._is_news(at) for at in self._beats[run])]

    def _is_news(self, at: float) -> bool:
        return -SILENCE_S <= at <= self.now and self._answers(at)

    def _answers(self, at: float) -> bool:
        return not any(begun <= at < ended for begun, ended in self._away)

    def listen(self) -> Sequence[str]:
        """Return the runs that are dead by what is heard from now on."""
        suspects = self.silent(list(self._beats))
        return listen_for(suspects, self.silent, NEEDED_S, lambda: self.now, self.sleep)


def beats(phase: float, until: float = 10_000.0) -> list[float]:
    """Return when a run sends heartbeats, from long before the server is back at 0."""
    return [at for n in range(-40, 60) if (at := phase + n * HEARTBEAT_S) < until]


@pytest.mark.parametrize("phase", [0.0, 1.0, 90.0, 179.0])
def test_after_the_server_was_away_a_run_that_lives_is_left_alone_and_a_dead_one_is_found(
    phase: float,
) -> None:
    outage = (-3600.0, 0.0)
    clock = Clock({"alive": beats(phase), "dead": beats(phase, until=-1000.0)}, [outage])

    assert clock.silent(["alive"]) == ([] if phase == 0 else ["alive"])  # it looks dead at first
    assert clock.listen() == ["dead"]
    assert clock.now >= NEEDED_S


def test_while_the_server_is_away_again_nobody_is_found_dead_and_then_it_is_listened_anew() -> None:
    clock = Clock({"alive": beats(150.0), "dead": []}, [(-3600.0, 0.0), (100.0, 2000.0)])

    with pytest.raises(ConnectionError):
        clock.listen()
    clock.now = 2000.0
    assert clock.listen() == ["dead"]


def test_where_nobody_is_silent_nobody_waits() -> None:
    clock = Clock({"alive": beats(-10.0)}, [])

    assert clock.listen() == []
    assert clock.now == 0


def test_a_dataset_that_was_half_published_is_named_with_what_it_lacks(
    sky: Any, collect: Any
) -> None:
    dataset = collect()
    report = f"reports/{dataset.dataset_id}.html"
    sky.store.put(report, b"<html>")
    with sky.engine.connect() as connection:
        samples = connection.execute(text("SELECT samples_key FROM training_datasets")).scalar_one()
    pack = read_samples(sky.store, samples, ["mask_pack"])["mask_pack"][0].as_py()

    assert kinds(sky, dataset) == ["dataset without lineage"]
    with sky.engine.begin() as connection:
        connection.execute(text("UPDATE training_datasets SET mlflow_run_id = 'r'"))
    assert kinds(sky, dataset) == []
    for key, lacks, later in (
        (report, "report", ["dataset without report"]),
        (samples, "samples", ["dataset without samples"]),
        (pack_key("masks", pack), "packs", []),
    ):
        kept = sky.store.get(key)
        sky.store.delete(key)
        assert kinds(sky, dataset) == [f"dataset without {lacks}"]
        assert kinds(sky, dataset, timedelta(minutes=-10)) == []  # it may be under way
        assert kinds(sky, dataset, timedelta(hours=2)) == later
        sky.store.put(key, kept)
    sky.store.delete(samples)
    sky.store.put(samples, b"not what its name promises")
    sky.store.delete(pack_key("masks", pack))
    assert kinds(sky, dataset) == ["dataset without samples"]

    assert kinds(sky, collect()) == ["dataset without lineage"]  # all else is there again


def kinds(sky: Any, dataset: Any, after: timedelta = timedelta(0)) -> list[str]:
    """Return what is found to be lacking, looked at so long after now."""
    with sky.engine.connect() as connection:
        found = half_published(connection, sky.store, datetime.now(UTC) + after)
    assert all(dataset.dataset_id in one.what for one in found)
    assert all(one.done.startswith("named only: ") and "collect again" in one.done for one in found)
    return [one.kind for one in found]
