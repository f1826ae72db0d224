"""The real alerts: from files to a dataset."""

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import Engine, text

from astrid_training.alerts.importing import ImportReport, import_alerts
from astrid_training.packs import PackCache, read_table
from astrid_training.params import CHANNELS, PreprocessSpec, TrainingDataCollectionParams
from astrid_training.publish import CollectionGateError
from astrid_training.selection import select_subjects
from astrid_training.sources import Sources
from astrid_training.store import Store

DATA = Path(os.environ.get("ASTRID_SURVEY_DATA", Path(__file__).parents[2] / "../shared/data"))
TIERS = ["human_spectroscopic", "ephemeris", "catalogue", "machine"]
LABELLED, BOGUS = 316, 16
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no survey data at {DATA}"),
]


@dataclass(frozen=True)
class Imported:
    """A database and a store with the real alerts."""

    engine: Engine
    home: Path
    store: Store
    report: ImportReport

    @property
    def packs(self) -> PackCache:
        return PackCache(self.store, self.home / "cache")


@pytest.fixture(scope="module")
def imported(
    databases: Any, _migrated: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Imported]:
    home, engine = tmp_path_factory.mktemp("alerts"), databases.make(_migrated)
    store = Store(f"file://{home}/store")
    report = import_alerts(
        engine, Sources(store), [DATA / "ztf"], tiers=TIERS, accept_machine_labels=True
    )
    yield Imported(engine, home, store, report)
    databases.drop(engine)


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, str]]:
    with (DATA / "ztf" / "ztf_alerts.csv").open() as stream:
        return {row["candid"]: row for row in csv.DictReader(stream)}


def selection(imported: Imported, **fields: Any) -> Any:
    params = TrainingDataCollectionParams(survey_ids=["ztf"], **fields)
    with imported.engine.connect() as connection:
        return select_subjects(connection, params, datetime.now(UTC) + timedelta(seconds=1))


def alert_ids(imported: Imported) -> dict[str, str]:
    """Return the alert's number by detection id."""
    with imported.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT id, prediction_metadata ->> 'alert_id' AS alert FROM detections")
        )
        return {str(row.id): row.alert for row in rows}


def samples_of(imported: Imported, collect: Callable[..., Any], **fields: Any) -> Any:
    published = collect(survey_ids=["ztf"], **fields)
    with imported.engine.connect() as connection:
        key = connection.execute(
            text("SELECT samples_key FROM training_datasets WHERE id = :id"),
            {"id": published.dataset_id},
        ).scalar_one()
    return published, read_table(imported.store, "samples", Path(key).stem).to_pylist()


def test_every_alert_is_imported_once_though_two_tables_name_it(imported: Imported) -> None:
    report = imported.report

    assert (report.read, report.imported, report.duplicates) == (730, 365, 365)
    assert report.rejected == []
    assert report.labels == {
        "human_spectroscopic": 16,
        "ephemeris": 25,
        "catalogue": 155,
        "machine": 120,
    }


def test_exposures_are_shared(imported: Imported) -> None:
    with imported.engine.connect() as connection:
        counts = connection.execute(
            text("SELECT (SELECT count(*) FROM observations), (SELECT count(*) FROM detections)")
        ).one()

    assert tuple(counts) == (300, 365)


def test_the_bogus_stay_bogus_and_few_labels_are_of_people(
    imported: Imported, table: dict[str, dict[str, str]]
) -> None:
    rows = selection(imported).to_pylist()
    ids = alert_ids(imported)

    assert len(rows) == LABELLED
    for row in rows:
        assert row["is_anomaly"] == (table[ids[row["detection_id"]]]["label"] == "1")
    assert sum(not row["is_anomaly"] for row in rows) == BOGUS
    assert Counter(row["label_source"] for row in rows) == {"machine": 300, "human": 16}


def test_they_become_a_dataset_whose_funnel_adds_up(
    imported: Imported, collect_from: Any, table: dict[str, dict[str, str]]
) -> None:
    published, rows = samples_of(
        imported, collect_from(imported), quality_score_threshold=0.8, allow_one_class=False
    )
    funnel = {row.reason: row.count for row in published.funnel}

    assert funnel.pop("selected") == LABELLED == sum(funnel.values())
    assert funnel["kept"] == published.total_samples == len(rows)
    assert Counter(row["source_kind"] for row in rows) == {"stamp": len(rows)}
    ids, splits = alert_ids(imported), defaultdict(set)
    for row in rows:
        splits[table[ids[row["detection_id"]]]["objectId"]].add(row["split"])
    assert all(len(names) == 1 for names in splits.values())
    assert len(splits) < len(rows)  # some objects have several alerts


def test_pixels_of_the_packs_are_those_of_the_files(
    imported: Imported, collect_from: Any, table: dict[str, dict[str, str]]
) -> None:
    spec = PreprocessSpec.identity()
    _, rows = samples_of(
        imported, collect_from(imported), name="as they are", preprocess=spec.model_dump()
    )
    names = {"science": "SCIENCE", "reference": "TEMPLATE", "difference": "DIFFERENCE"}
    ids = alert_ids(imported)
    for row in rows:
        alert = table[ids[row["detection_id"]]]
        sign = 1 if alert["isdiffpos"] == "True" else -1
        stored = imported.packs.open("images", row["image_pack"])[row["image_row"]]
        with fits.open(DATA / alert["file"]) as hdus:
            for channel, role in enumerate(CHANNELS):
                image = hdus[names[role]].data.astype(np.float32)
                image[~(np.abs(image) < 1e30)] = 0
                height, width = image.shape
                expected = np.zeros_like(stored[channel])
                expected[5 : 5 + height, 5 : 5 + width] = image
                assert np.array_equal(
                    stored[channel], expected * (sign if role == "difference" else 1)
                )
        assert row["diff_sign"] == sign
        assert row["difference_correlation"] > 0.15


def test_the_default_scale_is_a_monotone_of_the_file(
    imported: Imported, collect_from: Any, table: dict[str, dict[str, str]]
) -> None:
    _, rows = samples_of(imported, collect_from(imported), name="scaled")
    ids, channel = alert_ids(imported), CHANNELS.index("difference")
    for row in rows[::10]:
        alert = table[ids[row["detection_id"]]]
        with fits.open(DATA / alert["file"]) as hdus:
            image = hdus["DIFFERENCE"].data.astype(np.float64) * row["diff_sign"]
        image[~(np.abs(image) < 1e30)] = 0
        expected = np.clip(np.arcsinh(image / (3 * row["scale_difference"])), -10, 10)
        stored = imported.packs.open("images", row["image_pack"])[row["image_row"], channel]
        height, width = image.shape
        assert np.allclose(stored[5 : 5 + height, 5 : 5 + width], expected, atol=1e-5)


def test_people_alone_gave_one_class_which_is_refused_with_the_reason(
    database: Engine, collect_from: Any, tmp_path: Path
) -> None:
    store, table = Store(f"file://{tmp_path}/store"), DATA / "ztf" / "ztf_alerts.csv"
    report = import_alerts(database, Sources(store), [table], tiers=TIERS)
    imported = Imported(database, tmp_path, store, report)

    with pytest.raises(CollectionGateError) as refused:
        samples_of(imported, collect_from(imported), allow_one_class=False)

    assert report.labels == {"human_spectroscopic": 16}
    assert report.labels_left == {"ephemeris": 25, "catalogue": 155, "machine": 120}
    assert any("0 rejected detections" in reason for reason in refused.value.reasons)


@pytest.mark.parametrize(
    ("name", "imported_count", "reasons"),
    [
        ("kowalski_2475433850015015000.avro", 1, []),
        ("ampel_ZTF20abyfpze_cutouts_null.avro", 0, ["no_cutouts"]),
        ("corrupt_516401801315010009.avro", 0, ["bad_cutout", "damaged_file"]),
        ("fink_datatest_part-00003.snappy.parquet", 57, []),
        ("fink_image_classification_example.parquet", 0, ["not_an_alert"] * 4),
    ],
)
def test_original_packets_are_imported_or_refused_with_a_true_reason(
    database: Engine, tmp_path: Path, name: str, imported_count: int, reasons: list[str]
) -> None:
    sources = Sources(Store(tmp_path.as_uri()))

    report = import_alerts(database, sources, [DATA / "raw" / name])

    assert report.imported == imported_count
    assert [refusal.reason for refusal in report.rejected] == reasons
    assert report.read == report.imported + report.duplicates + len(report.rejected)


def test_a_packet_and_its_triplet_have_the_same_pixels(
    database: Engine, tmp_path: Path, table: dict[str, dict[str, str]]
) -> None:
    candid, store = "2475433850015015000", Store(tmp_path.as_uri())
    import_alerts(database, Sources(store), [DATA / "raw" / f"kowalski_{candid}.avro"])

    with (
        fits.open(tmp_path / "stamps" / "ztf" / f"{candid}.fits") as ours,
        fits.open(DATA / table[candid]["file"]) as theirs,
    ):
        for name in ("SCIENCE", "DIFFERENCE"):
            assert np.array_equal(ours[name].data, theirs[name].data, equal_nan=True)


def test_a_table_whose_identifiers_lost_their_digits_is_refused_row_by_row(
    database: Engine, tmp_path: Path
) -> None:
    sources = Sources(Store(tmp_path.as_uri()))

    report = import_alerts(database, sources, [DATA / "btsbot"])

    assert report.imported == 0
    assert {refusal.reason for refusal in report.rejected} == {"bad_identifier"}
    assert report.read == len(report.rejected) == 39
