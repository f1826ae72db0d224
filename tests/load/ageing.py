"""Forty days at once: everything is made as old as that, and what need not be kept goes."""

import os
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from astrid_training.gc import find_garbage
from deployments.runs import run_and_wait
from tests.deployments.small_survey import quiet
from tests.load.invariants import Invariants
from tests.load.readings import folder_mb
from tests.load.rounds import Rounds

__all__ = ["let_days_pass"]

DAYS = 40
OLDER = (
    text("UPDATE training_objects SET wanted_at = wanted_at - make_interval(days => :days)"),
    text("UPDATE training_image_catalogue SET at = at - make_interval(days => :days)"),
)


def let_days_pass(rounds: Rounds, invariants: Invariants, home: Path, number: int) -> None:
    """Age everything, run the retention deployment, and check what is left.

    Left are the datasets, whole, and nothing in the store that none of them names; of the machine's
    cache and of steps' results nothing; and the next collection makes what it needs again.
    """
    with rounds.engine.begin() as connection:
        for statement in OLDER:
            connection.execute(statement, {"days": DAYS})
    then = time.time() - DAYS * 86_400
    folders = [home / "store", home / "cache", home / "prefect" / "storage"]
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        os.utime(path, (then, then))
    run = run_and_wait("retention/default", {"dry_run": False, "cache_days": 30}, quiet)
    assert run.completed, run.message
    assert find_garbage(rounds.engine, invariants.store, timedelta(days=7)) == []
    assert folder_mb(home / "cache") < 0.01 * max(folder_mb(home / "store"), 1)
    left = [
        path
        for path in (home / "prefect" / "storage").rglob("*")
        if path.stat().st_mtime <= then + 1
    ]
    assert [path for path in left if path.is_file()] == []
    for one in list(invariants.seen.values()):
        invariants.check_unchanged(one)
    rounds.run(number, "")
    invariants.check_round(rounds.api, rounds.rng)
