"""An export is whole or not there, holds what may leave the house, and touches nothing else."""

import dataclasses
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlcroissant
import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal

from astrid_training.errors import ExportRefusedError, StoreCorruptError
from astrid_training.exports import Exported, SkyReader, Wanted, export_dataset
from astrid_training.faults import InjectedFaultError
from tests.astrid_training.exports.cut_files import Cut, cut_dataset

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def export(cut: Cut, folder: Path, wanted: Wanted, **more: Any) -> Exported:
    now = more.pop("now", NOW)
    return export_dataset(cut.record, cut.packs, folder, wanted, SkyReader(), now, **more)


def table_of(folder: Path) -> Any:
    return pq.ParquetFile(folder / "samples.parquet").read()


@pytest.fixture
def few(tmp_path: Path) -> Cut:
    """A dataset of which some samples are not public, and one has no name for a file."""
    secret = {"program_id": "2", "proprietary_until": "2027-01-01"}
    hostile = {"sample_key": "../../../evil\0", "observation_id": "../out"}
    return cut_dataset(tmp_path / "store", rows={0: secret, 3: secret, 5: hostile})


def test_arrays_hold_the_bits_of_the_packs(cut: Cut, tmp_path: Path) -> None:
    done = export(cut, tmp_path / "out", Wanted("npy"))

    images, masks, flags = (
        np.load(tmp_path / "out" / f"{name}.npy") for name in ("images", "masks", "flags")
    )
    inner = slice(4, 68)
    assert_array_equal(images, cut.images[:, :, inner, inner])
    assert_array_equal(masks, cut.masks[:, inner, inner])
    assert_array_equal(flags, cut.flags[:, inner, inner])
    labels, keys, splits = (
        np.load(tmp_path / "out" / f"{name}.npy") for name in ("labels", "keys", "splits")
    )
    assert labels.tolist() == [int(one) for one in cut.samples["is_anomaly"].to_pylist()]
    assert keys.tolist() == cut.samples["sample_key"].to_pylist()
    assert splits.tolist() == cut.samples["split"].to_pylist()
    assert table_of(tmp_path / "out")["index"].to_pylist() == list(range(16))
    assert done.samples == 16
    assert done.bytes == sum(path.stat().st_size for path in (tmp_path / "out").iterdir())


def test_an_export_tells_croissant_what_it_holds(cut: Cut, tmp_path: Path) -> None:
    export(cut, tmp_path / "out", Wanted("npy", splits=("train",)))

    told = mlcroissant.Dataset(str(tmp_path / "out" / "croissant.json"))

    assert not told.metadata.ctx.issues.errors
    assert not told.metadata.ctx.issues.warnings
    assert len(told.metadata.file_objects) == 8
    records = list(told.records("samples"))
    table = table_of(tmp_path / "out").to_pylist()
    assert [one["samples/sample_key"].decode() for one in records] == [
        one["sample_key"] for one in table
    ]


def test_files_lie_by_split_and_the_table_names_them(cut: Cut, tmp_path: Path) -> None:
    export(cut, tmp_path / "one", Wanted("fits", splits=("val", "test")))
    export(cut, tmp_path / "all", Wanted("fits", "exposure", splits=("val", "test")))

    for row in table_of(tmp_path / "one").to_pylist():
        assert row["file"] == f"{row['split']}/{row['sample_key']}.fits"
        with fits.open(tmp_path / "one" / row["file"]) as hdus:
            assert hdus[0].header["SAMPLE"] == row["sample_key"]
    for row in table_of(tmp_path / "all").to_pylist():
        assert row["file"] == f"{row['split']}/{row['observation_id']}.fits"
        with fits.open(tmp_path / "all" / row["file"]) as hdus:
            assert hdus["SAMPLES"].data["sample"][row["index"]] == row["sample_key"]
    assert {path.name for path in (tmp_path / "one").iterdir() if path.is_dir()} == {"val", "test"}


def test_reviewers_are_not_named(cut: Cut, tmp_path: Path) -> None:
    export(cut, tmp_path / "out", Wanted("npy"))

    assert "votes" not in table_of(tmp_path / "out").column_names
    assert "votes" in cut.samples.column_names


def test_what_is_not_public_stays_unless_it_is_asked_for(few: Cut, tmp_path: Path) -> None:
    secret = {few.samples["sample_key"][at].as_py() for at in (0, 3)}

    done = export(few, tmp_path / "out", Wanted("npy"))

    assert {one["sample_key"] for one in done.left_out} == secret
    assert not secret & set(np.load(tmp_path / "out" / "keys.npy").tolist())
    told = json.loads((tmp_path / "out" / "export.json").read_text())
    assert [one["program_id"] for one in told["left_out"]] == ["2", "2"]
    assert "2 samples are not here" in (tmp_path / "out" / "README.md").read_text()
    everything = Wanted("npy", include_proprietary=True)
    assert export(few, tmp_path / "ours", everything).samples == 16
    later = datetime(2027, 1, 2, tzinfo=UTC)
    assert export(few, tmp_path / "later", Wanted("npy"), now=later).samples == 16


def test_nothing_is_exported_where_nothing_is_public(tmp_path: Path) -> None:
    secret = {number: {"program_id": "3"} for number in range(16)}
    cut = cut_dataset(tmp_path / "store", rows=secret)

    with pytest.raises(ExportRefusedError, match="--include-proprietary"):
        export(cut, tmp_path / "out", Wanted("npy"))
    with pytest.raises(ExportRefusedError, match="no split 'trian'"):
        export(cut, tmp_path / "out", Wanted("npy", splits=("trian",)))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("by", ["sample", "exposure"])
def test_no_name_leads_out_of_the_folder(few: Cut, tmp_path: Path, by: Any) -> None:
    before = {path for path in tmp_path.rglob("*") if "store" not in path.parts}

    export(few, tmp_path / "a" / "out", Wanted("fits", by, splits=("val", "test", "train")))

    new = {path for path in tmp_path.rglob("*") if "store" not in path.parts} - before
    assert all((tmp_path / "a") in {path, *path.parents} for path in new)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["out"]
    (evil,) = [
        one for one in table_of(tmp_path / "a" / "out").to_pylist() if ".." in one["sample_key"]
    ]
    assert (tmp_path / "a" / "out" / evil["file"]).is_file()
    assert ".." not in evil["file"]


def test_an_export_that_fails_leaves_nothing(
    cut: Cut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASTRID_FAULT", "export:before:raise")

    with pytest.raises(InjectedFaultError):
        export(cut, tmp_path / "out", Wanted("npy"))

    assert list(tmp_path.iterdir()) == []


def test_a_damaged_pack_is_noticed(tmp_path: Path) -> None:
    cut = cut_dataset(tmp_path / "store")
    pack = next((tmp_path / "store" / "masks").iterdir())
    data = bytearray(pack.read_bytes())
    data[-1] ^= 1
    pack.write_bytes(data)

    with pytest.raises(StoreCorruptError):
        export(cut, tmp_path / "out", Wanted("npy"))
    assert not (tmp_path / "out").exists()


def test_what_lies_there_is_never_written_over(cut: Cut, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("all my work")
    (tmp_path / "file").write_text("a file")
    for overwrite in (False, True):
        with pytest.raises(ExportRefusedError, match=r"not empty|no export wrote"):
            export(cut, tmp_path / "mine", Wanted("npy"), overwrite=overwrite)
        with pytest.raises(ExportRefusedError, match="is a file"):
            export(cut, tmp_path / "file", Wanted("npy"), overwrite=overwrite)

    assert (tmp_path / "mine" / "thesis.tex").read_text() == "all my work"


def test_an_earlier_export_is_replaced_when_asked_for_and_untouched(
    cut: Cut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    export(cut, out, Wanted("npy"))
    with pytest.raises(ExportRefusedError, match="--overwrite"):
        export(cut, out, Wanted("npy", splits=("val",)))
    monkeypatch.setenv("ASTRID_FAULT", "export:before:raise")
    with pytest.raises(InjectedFaultError):
        export(cut, out, Wanted("npy", splits=("val",)), overwrite=True)
    monkeypatch.delenv("ASTRID_FAULT")
    assert len(np.load(out / "keys.npy")) == 16

    export(cut, out, Wanted("npy", splits=("val",)), overwrite=True)

    assert len(np.load(out / "keys.npy")) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ExportRefusedError, match="no export wrote"):
        export(cut, out, Wanted("npy"), overwrite=True)


def test_a_disk_that_is_too_small_is_told_before(
    cut: Cut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))

    with pytest.raises(ExportRefusedError, match="free some"):
        export(cut, tmp_path / "out", Wanted("fits"), tell=told.append)

    assert told[0].startswith("16 samples, about 2 MB")
    assert list(tmp_path.iterdir()) == []


def test_the_same_export_has_the_same_bytes(cut: Cut, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        export(cut, folder, Wanted("fits", splits=("test",)))
    first, second = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in folders
    )

    assert first == second


def test_a_recipe_of_other_channels_has_other_hdus(cut: Cut, tmp_path: Path) -> None:
    spec = {**cut.record.preprocess_spec, "channels": ["difference"]}
    record = dataclasses.replace(cut.record, preprocess_spec=spec)

    with pytest.raises(StoreCorruptError, match="the dataset needs"):
        export(cut._replace(record=record), tmp_path / "out", Wanted("npy"))
