"""AstrID's own database with a small sky in it, and who works on it."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import Engine, text

from astrid_training.database import open_database
from astrid_training.migrate import migrate
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.selection import select_subjects
from astrid_training.simulate.rows import TABLES
from astrid_training.store import Store

ROLES = Path(__file__).parents[3] / "sql" / "roles"
PASSWORD = "for-this-test-only"


@dataclasses.dataclass(frozen=True)
class Session:
    """What one role does in one database."""

    engine: Engine

    def execute(self, *statements: str) -> None:
        with self.engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def select(self, **fields: object) -> pa.Table:
        """Return the subjects of the simulated survey unless another is named."""
        params = TrainingDataCollectionParams.model_validate({"survey_ids": ["sim_ztf"], **fields})
        with self.engine.connect() as connection:
            return select_subjects(connection, params, datetime.now(UTC))

    def run_role_file(self, role: str) -> None:
        statements = (ROLES / f"{role}.sql").read_text(encoding="utf-8")
        with self.engine.begin() as connection:
            connection.exec_driver_sql(statements.replace("%", "%%"))

    def as_role(self, role: str) -> "Session":
        """Make the role by the file that ships, and return a session of its own."""
        self.run_role_file(role)
        self.execute(f"ALTER ROLE {role} PASSWORD '{PASSWORD}'")
        url = self.engine.url.set(username=role, password=PASSWORD)
        return Session(open_database(url.render_as_string(hide_password=False)))


@pytest.fixture
def session() -> Callable[[Engine], Session]:
    """Return what gives a session on an engine."""
    return Session


@pytest.fixture(params=["owner"])
def sky(
    request: pytest.FixtureRequest, astrid: Callable[..., Engine], _simulated: Any, tmp_path: Path
) -> Iterator[Any]:
    """The small sky in AstrID's own database, migrated; the session is the owner's unless asked.

    `owner`: the training tables were AstrID's. `collector after the owner`: they were, and the owner has
    migrated. `collector after the migrator`: they were not, and the role that migrates has.
    """
    who = str(request.param)
    owner = astrid(training_tables=who != "collector after the migrator")
    copy_rows(_simulated.engine, owner)
    migrator = owner
    if who == "collector after the migrator":
        migrator = Session(owner).as_role("astrid_training_migrator").engine
    migrate(migrator)
    engine = owner if who == "owner" else Session(owner).as_role("astrid_training").engine
    if migrator is not owner:
        migrator.dispose()
    shutil.copytree(_simulated.home / "store", tmp_path / "sky" / "store")
    home, store = tmp_path / "sky", Store(f"file://{tmp_path}/sky/store")
    yield dataclasses.replace(_simulated, engine=engine, home=home, store=store)
    engine.dispose()


def copy_rows(source: Engine, target: Engine) -> None:
    """Copy the simulated rows into tables whose columns may be more."""
    with source.connect() as old, target.begin() as new:
        for table in TABLES:
            result = old.execute(text(f"SELECT * FROM {table} LIMIT 0"))
            names = ", ".join(result.keys())
            reader, writer = old.connection.cursor(), new.connection.cursor()
            with (
                reader.copy(f"COPY {table} ({names}) TO STDOUT") as rows,
                writer.copy(f"COPY {table} ({names}) FROM STDIN") as copied,
            ):
                for block in rows:
                    copied.write(block)
    source.dispose()  # or it could not be copied as a whole any more


@pytest.fixture
def db(sky: Any) -> Session:
    """A session in the sky's database."""
    return Session(sky.engine)
