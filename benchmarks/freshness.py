"""How far datasets are behind 1,000,000 reviews of 500,000 detections in 100,000 observations.

The statement that the deployment `freshness/default` makes every quarter of an hour. Beside it the
physical limit: one look at the time of each review.
"""

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Connection, text

from astrid_training.freshness import FreshnessParams, measure_freshness
from astrid_training.store import Store
from benchmarks.database import database
from benchmarks.rows import Row, at_most
from benchmarks.timing import Timing, interleave

NOW = datetime(2025, 12, 1, tzinfo=UTC)
PARAMS = FreshnessParams(datasets=0)
"""Reviews alone: no table of samples is read."""
GOAL_S = 1.0
LOOK = text("SELECT max(created_at) FROM validation_events")
COVER = text(
    "INSERT INTO training_datasets (name, collection_params, total_samples, anomaly_ratio,"
    " quality_score, created_by, version_id, as_of, samples_key) SELECT 'all', '{}', 1, 1, 1, '',"
    " '9', max(as_of), '' FROM training_datasets"
)
SIZES = "1,000,000 reviews of 500,000 detections, five surveys"


def measure() -> tuple[Timing, Timing, Timing]:
    """Return what it takes with all surveys in datasets, with one in none, and the bare look."""
    with TemporaryDirectory() as folder, database("freshness.sql") as engine:
        store = Store(Path(folder).as_uri())
        with engine.connect() as connection:
            some = interleave({"ours": lambda: _ask(connection, store)})["ours"]
            connection.execute(COVER)
            times = interleave(
                {
                    "ours": lambda: _ask(connection, store),
                    "look": lambda: connection.execute(LOOK).one(),
                }
            )
    return times["ours"], some, times["look"]


def _ask(connection: Connection, store: Store) -> None:
    found = measure_freshness(connection, store, PARAMS, NOW)
    if sum(one.backlog for one in found.surveys) < 20_000:
        raise ValueError(f"{found} leaves out reviews that wait")


def report() -> list[Row]:
    """Return the rows of the table of results."""
    covered, some, look = measure()
    limit = f"one look at each review {look.wall_s:.2f} s"
    return [
        Row(
            f"freshness: {SIZES}, 97 of 100 looked at",
            f"{covered.wall_s:.2f} s of wall",
            limit,
            covered.wall_s / look.wall_s,
            at_most(covered.wall_s, GOAL_S, "s"),
        ),
        Row(
            f"freshness: {SIZES}, one of them in no dataset",
            f"{some.wall_s:.2f} s of wall",
            limit,
            some.wall_s / look.wall_s,
        ),
    ]
