"""What is copied out of the database arrives as it is, or the error says what is amiss."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text

from astrid_training.cone import cone_box
from astrid_training.database import fetch_table, reading
from astrid_training.errors import DatabaseUnavailableError
from astrid_training.votes import REVIEWS

WANTED: dict[str, Any] = {
    "surveys": [],
    "start": None,
    "end": None,
    "bands": None,
    "as_of": datetime(2040, 1, 1, tzinfo=UTC),
    **cone_box(None),
}


def test_missing_tables_are_told_with_the_command_that_makes_them(databases: Any) -> None:
    engine = databases.make()

    with (
        pytest.raises(DatabaseUnavailableError, match="run `astrid-training migrate`"),
        reading(engine) as connection,
    ):
        fetch_table(connection, "reviews", WANTED, REVIEWS)

    databases.drop(engine)


def test_of_no_rows_the_columns_are_there(database: Engine) -> None:
    with database.connect() as connection:
        table = fetch_table(connection, "reviews", WANTED, REVIEWS)

    assert table.num_rows == 0
    assert table.schema.equals(REVIEWS)


def test_an_empty_text_is_no_null_and_the_transaction_goes_on(sky: Any) -> None:
    with sky.engine.begin() as connection:
        connection.execute(text("UPDATE validation_events SET label = '', confidence_level = NULL"))
        surveys = connection.execute(text("SELECT CAST(id AS text) FROM surveys")).scalars().all()
        table = fetch_table(connection, "reviews", {**WANTED, "surveys": surveys}, REVIEWS)
        count = connection.execute(text("SELECT count(*) FROM validation_events")).scalar_one()

    assert set(table["label"].to_pylist()) == {""}
    assert set(table["level"].to_pylist()) == {None}
    assert table.num_rows == count
