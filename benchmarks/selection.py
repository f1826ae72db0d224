"""From 100,000 detections and 200,000 reviews in PostgreSQL to the table of subjects; fusion alone."""

from datetime import UTC, datetime

import numpy as np

from astrid_training.fusion import Ballots, estimate
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.selection import select_subjects
from benchmarks.database import database
from benchmarks.rows import Row, at_most
from benchmarks.timing import interleave

AS_OF = datetime(2025, 6, 1, tzinfo=UTC)
SUBJECTS, REVIEWERS, REVIEWS = 60_000, 12, 180_000


def select() -> tuple[float, float]:
    """Return CPU and wall seconds of a selection."""
    params = TrainingDataCollectionParams(survey_ids=["sim_ztf"], max_samples=1_000_000)
    with database("reviews.sql") as engine, engine.connect() as connection:

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


def report() -> list[Row]:
    """Return the rows of the table of results."""
    cpu, wall = select()
    fused = fuse()
    return [
        Row(
            "selection of 50,000 subjects: 100,000 detections, 200,000 reviews",
            f"{cpu:.2f} CPU-s",
            f"with the database's share {wall:.2f} s of wall",
        ),
        Row(
            f"label fusion, {REVIEWS:,} reviews",
            f"{fused:.2f} CPU-s",
            goal=at_most(fused, 1, "CPU-s"),
        ),
    ]
