"""From 100,000 detections and 200,000 reviews in PostgreSQL to the table of subjects; fusion alone."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sqlalchemy import Engine

from astrid_training.database import open_database
from astrid_training.fusion import Ballots, estimate
from astrid_training.migrate import migrate
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.selection import select_subjects
from benchmarks.timing import interleave
from deployments.embedded import postgres
from deployments.embedded.processes import free_port

AS_OF = datetime(2025, 6, 1, tzinfo=UTC)
SUBJECTS, REVIEWERS, REVIEWS = 60_000, 12, 180_000


@contextmanager
def database() -> Iterator[Engine]:
    """Give the block a database of its own with the rows of reviews.sql."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        cluster, port = postgres.prepare(home), free_port(None)
        postgres.start(cluster, port, {}, home / "log")
        while not postgres.answers(cluster, port):
            time.sleep(0.05)
        try:
            engine = open_database(postgres.cluster_url(cluster, port, "postgres"))
            migrate(engine)
            rows = Path(__file__).with_name("reviews.sql").read_text(encoding="utf-8")
            with engine.begin() as connection:
                connection.exec_driver_sql(rows.replace("%", "%%"))
            yield engine
            engine.dispose()
        finally:
            postgres.discard(home)


def select() -> tuple[float, float]:
    """Return CPU and wall seconds of a selection."""
    params = TrainingDataCollectionParams(survey_ids=["sim_ztf"], max_samples=1_000_000)
    with database() as engine, engine.connect() as connection:

        def run() -> None:
            select_subjects(connection, params, AS_OF)

        found = interleave({"select": run})["select"]
    return found.cpu_s, found.wall_s


def fuse() -> float:
    """Return CPU seconds of the fusion of three reviews each of 60,000 subjects."""
    rng = np.random.default_rng(4)
    subject = np.repeat(np.arange(SUBJECTS), REVIEWS // SUBJECTS)
    chosen = rng.random((SUBJECTS, REVIEWERS)).argsort(1)[:, : REVIEWS // SUBJECTS]
    skill, real = rng.uniform(0.7, 0.97, REVIEWERS), rng.random(SUBJECTS) < 0.35
    validator = chosen.ravel().astype(np.int64)
    right = rng.random(REVIEWS) < skill[validator]
    said = np.where(right, real[subject], ~real[subject]).astype(np.int64)
    shift = rng.choice([-0.7, 0.0, 0.5, 1.3], REVIEWS)
    ballots = Ballots(subject, validator, said, shift, np.ones(REVIEWS, bool))
    nobody = np.zeros((SUBJECTS, 2), np.int64)

    def run() -> None:
        estimate(ballots, SUBJECTS, REVIEWERS, nobody)

    return interleave({"fuse": run})["fuse"].cpu_s


def report() -> list[str]:
    """Return the lines of the table of results."""
    cpu, wall = select()
    rows = "100,000 detections, 200,000 reviews"
    took = f"{cpu:.2f} CPU-s | with the database's share {wall:.2f} s | |"
    return [
        f"| selection of 50,000 subjects: {rows} | {took}",
        f"| label fusion, {REVIEWS:,} reviews | {fuse():.2f} CPU-s | | |",
    ]
