"""The samples table has the documented columns, or is refused."""

from pathlib import Path

import pyarrow as pa
import pytest

from astrid_training.errors import MissingObjectError, StoreCorruptError
from astrid_training.packs import put_table
from astrid_training.samples import SCHEMA, class_names, columns_page, read_samples
from astrid_training.store import Store

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "samples-table.md"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path.as_uri())


def _put(store: Store, table: pa.Table) -> str:
    return f"samples/{put_table(store, 'samples', table)}.parquet"


def test_a_table_comes_back_with_its_types(store: Store) -> None:
    empty = SCHEMA.empty_table()

    assert read_samples(store, _put(store, empty)).schema == SCHEMA


def test_a_table_without_a_column_is_refused(store: Store) -> None:
    key = _put(store, SCHEMA.empty_table().drop_columns(["weight", "y"]))

    with pytest.raises(StoreCorruptError, match="no column weight, y"):
        read_samples(store, key)


def test_altered_bytes_are_refused(store: Store) -> None:
    key = _put(store, SCHEMA.empty_table())
    store.put(key, store.get(key) + b"x")

    with pytest.raises(StoreCorruptError, match="other bytes"):
        read_samples(store, key)


def test_a_missing_table_is_named(store: Store) -> None:
    with pytest.raises(MissingObjectError, match="samples/none"):
        read_samples(store, "samples/none.parquet")


def test_a_sample_without_a_type_is_unknown_or_an_artifact() -> None:
    table = pa.table(
        {
            "is_anomaly": [True, True, False, False],
            "anomaly_type": ["agn", None, "dipole", None],
        }
    )

    assert class_names(table) == ["agn", "unknown", "dipole", "artifact"]


def test_the_reference_page_is_the_one_made_from_the_code() -> None:
    assert PAGE.read_text(encoding="utf-8") == columns_page()
