"""A PostgreSQL of its own for the time of a benchmark."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine

from astrid_training.database import open_database
from astrid_training.migrate import migrate
from deployments.embedded import postgres
from deployments.embedded.processes import free_port

__all__ = ["database"]


@contextmanager
def database(rows: str | None = None) -> Iterator[Engine]:
    """Give the block a migrated database, filled by `rows`, the name of an SQL file beside this."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        cluster, port = postgres.prepare(home), free_port(None)
        postgres.start(cluster, port, {}, home / "log")
        try:
            _wait(cluster, port, home / "log")
            engine = open_database(postgres.cluster_url(cluster, port, "postgres"))
            migrate(engine)
            if rows is not None:
                _fill(engine, Path(__file__).with_name(rows))
            yield engine
            engine.dispose()
        finally:
            postgres.discard(home)


def _wait(cluster: postgres.Cluster, port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while not postgres.answers(cluster, port):
        if time.monotonic() > deadline:
            raise TimeoutError(log.read_text())
        time.sleep(0.1)


def _fill(engine: Engine, rows: Path) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(rows.read_text(encoding="utf-8").replace("%", "%%"))
