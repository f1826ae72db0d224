"""Croissant's own validator takes the document, and its reader gets the table's values."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import mlcroissant
import pytest

from astrid_training.cards.stored import CROISSANT, card_key, documents, put_documents


@pytest.fixture(scope="module")
def placed(published: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a store with the documents of its dataset; the path of the one for Croissant."""
    root = tmp_path_factory.mktemp("store") / "store"
    shutil.copytree(published.store.local_path("samples"), root / "samples")
    store = type(published.store)(root.as_uri())
    written = documents(published.record, published.samples, store)
    put_documents(published.record.id, written, store)
    path: Path = store.local_path(card_key(published.record.id, CROISSANT))
    return path


def plain(value: Any) -> Any:
    """What the reader gives, as the table has it."""
    if isinstance(value, bytes):
        return value.decode()
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and math.isnan(value) else value


def test_the_validator_has_nothing_to_say(placed: Path) -> None:
    issues = mlcroissant.Dataset(str(placed)).metadata.ctx.issues

    assert (issues.errors, issues.warnings) == (set(), set())


def test_the_reader_gets_what_the_table_holds(placed: Path, published: Any) -> None:
    read = mlcroissant.Dataset(str(placed)).records("samples")

    rows = [{name.removeprefix("samples/"): plain(one[name]) for name in one} for one in read]

    by_key = {row["sample_key"]: row for row in rows}
    assert len(by_key) == len(rows) == published.samples.num_rows
    for row in published.samples.to_pylist():
        assert by_key[row["sample_key"]] == row


def test_it_lists_splits_packs_and_the_table_s_sum(placed: Path, published: Any) -> None:
    told = json.loads(placed.read_text())

    assert told["conformsTo"][0] == "http://mlcommons.org/croissant/1.1"
    assert told["version"] == "1.0.0+0123456789abcdef"
    splits = mlcroissant.Dataset(str(placed)).records("splits")
    assert [one["splits/name"] for one in splits] == ["train", "val", "test", "quarantine"]
    table, *packs = told["distribution"]
    assert (placed.parent / table["contentUrl"]).resolve().is_file()
    assert len(table["sha256"]) == 64
    (images,) = [one for one in packs if one["@id"] == "images"]
    assert {Path(name).stem for name in images["includes"]} == set(
        published.samples["image_pack"].to_pylist()
    )
    assert any("not that of the sky" in one for one in told["rai:dataBiases"])


def test_a_table_that_was_changed_is_noticed(placed: Path, published: Any, tmp_path: Path) -> None:
    root = tmp_path / "store"
    shutil.copytree(placed.parents[2], root)
    table = root / published.record.samples_key
    table.write_bytes(table.read_bytes() + b"x")
    document = root / placed.relative_to(placed.parents[2])

    with pytest.raises(Exception, match=r"Download\(samples-table\)"):
        list(mlcroissant.Dataset(str(document)).records("samples"))
