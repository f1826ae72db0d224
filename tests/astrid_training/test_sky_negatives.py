"""Sky negatives: real frames where nothing was ever seen, the same places in each exposure."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import Connection, text

from astrid_training.catalogue import get_dataset
from astrid_training.dataset import splits_from
from astrid_training.packs import read_table
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.selection import select_subjects
from astrid_training.simulate import SkyPlan, simulate
from astrid_training.sky_negatives import read_sky_notes
from astrid_training.store import Store

PLAN = SkyPlan(
    fields=6,
    epochs=2,
    frame_size=(480, 512),
    stars=30,
    galaxies=5,
    saturated_stars=1,
    transients=2,
    variables=2,
    asteroids=1,
    artifacts=3,
)
PARAMS = TrainingDataCollectionParams(survey_ids=["sim_ztf"])
ARCSEC = 180 / np.pi * 3600


@pytest.fixture(scope="module")
def roomy(
    databases: Any,
    _migrated: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, Path]]:
    """A simulated survey with room between its objects: its database's name and its home."""
    home, engine = tmp_path_factory.mktemp("roomy"), databases.make(_migrated)
    store = Store(f"file://{home}/store")

    def put(key: str, data: bytes) -> str:
        store.put(key, data)
        return key

    with engine.begin() as connection:
        simulate(PLAN, connection, put, home / "truth.jsonl")
    engine.dispose()
    yield str(engine.url.database), home
    databases.drop(engine)


@pytest.fixture
def connection(databases: Any, roomy: tuple[str, Path]) -> Iterator[Connection]:
    """A transaction on a copy of it."""
    engine = databases.make(roomy[0])
    with engine.connect() as opened:
        yield opened
    databases.drop(engine)


def select(connection: Connection, **negatives: Any) -> pa.Table:
    params = PARAMS.model_validate(PARAMS.model_dump() | {"negatives": negatives})
    return select_subjects(connection, params, datetime.now(UTC))


def sky_rows(table: pa.Table) -> list[dict[str, Any]]:
    return [row for row in table.to_pylist() if row["label_source"] == "sky"]


def told(table: pa.Table) -> dict[str, int]:
    return read_sky_notes(table)


def test_they_are_labelled_as_what_nobody_reviewed(connection: Connection) -> None:
    rows = sky_rows(select(connection))

    assert rows
    for row in rows:
        assert row["detection_id"] is None
        assert row["reason"] is None
        assert (row["is_anomaly"], row["anomaly_type"], row["tier"]) == (False, "sky", "sky")
        assert (row["n_votes"], row["votes"], row["model_score"]) == (0, "[]", None)
        assert row["confidence"] == 1 - row["p_real"] == pytest.approx(0.999)
        assert row["science_path"]
        assert row["neighbours"] == []


def test_none_is_near_anything_that_was_ever_detected_over_its_reference(
    connection: Connection,
) -> None:
    rows = sky_rows(select(connection))
    everything = connection.execute(
        text(
            "SELECT r.reference_observation_id AS field, CAST(d.ra AS float), CAST(d.dec AS float) "
            "FROM difference_runs r JOIN (SELECT observation_id, ra, dec FROM detections "
            "UNION ALL SELECT observation_id, ra, dec FROM candidates) d USING (observation_id)"
        )
    ).all()
    pairs = text(
        "SELECT CAST(observation_id AS text), reference_observation_id FROM difference_runs"
    )
    references = dict(connection.execute(pairs).tuples().all())

    for row in rows:
        field = references[row["observation_id"]]
        there = np.array([(ra, dec) for name, ra, dec in everything if name == field])
        east = (there[:, 0] - row["ra_deg"]) * np.cos(np.radians(row["dec_deg"]))
        nearest_px = np.hypot(east, there[:, 1] - row["dec_deg"]).min() * 3600 / row["pixel_scale"]
        fwhm_px = row["fwhm_arcsec"] / row["pixel_scale"]
        assert nearest_px >= np.sqrt(2) * (32 + 2 * fwhm_px) - 0.01


def test_the_exposures_of_a_field_share_their_places(connection: Connection) -> None:
    exposures = defaultdict(set)
    for row in sky_rows(select(connection, sky_per_real=2.0)):
        exposures[row["ra_deg"], row["dec_deg"]].add(row["observation_id"])

    assert max(len(names) for names in exposures.values()) == PLAN.epochs
    assert len(exposures) < sum(len(names) for names in exposures.values())


def test_they_are_at_most_so_many_per_real_one(connection: Connection) -> None:
    few, many = (select(connection, sky_per_real=share) for share in (0.1, 0.3))

    reals = sum(row["is_anomaly"] for row in few.to_pylist() if row["reason"] is None)
    assert len(sky_rows(few)) == told(few)["drawn"] == int(0.1 * reals)
    assert {row["sample_key"] for row in sky_rows(few)} <= {
        row["sample_key"] for row in sky_rows(many)
    }


def test_none_are_drawn_where_none_are_wanted(connection: Connection) -> None:
    assert sky_rows(select(connection, sky_per_real=0)) == []


def test_they_are_at_most_three_tenths_of_val_and_test(connection: Connection) -> None:
    table = select(connection, sky_per_real=5.0)

    kept = [row for row in table.to_pylist() if row["reason"] is None]
    everyone = Counter(row["split"] for row in kept)
    sky = Counter(row["split"] for row in sky_rows(table))
    for split in ("val", "test"):
        assert sky[split] <= 0.3 * everyone[split]
    assert sky["train"] > 0


def test_the_same_database_gives_the_same_places(connection: Connection) -> None:
    first, again = (select(connection).to_pylist() for _ in range(2))

    assert first == again


@pytest.mark.parametrize("table", ["detections", "candidates"])
@pytest.mark.parametrize(("away_px", "given_up"), [(3, True), (48, True), (75, False)])
def test_a_place_where_something_was_seen_since_is_given_up(
    connection: Connection, table: str, away_px: float, *, given_up: bool
) -> None:
    row = sky_rows(select(connection))[0]
    move = text(
        f"UPDATE {table} SET ra = :ra, dec = :dec WHERE id = (SELECT d.id FROM {table} d "
        "JOIN difference_runs r USING (observation_id) WHERE r.reference_observation_id = "
        "(SELECT reference_observation_id FROM difference_runs WHERE observation_id = :at) "
        "AND d.observation_id <> :at ORDER BY d.id LIMIT 1)"  # in another exposure of the field
    )
    dec = row["dec_deg"] + away_px * row["pixel_scale"] / 3600
    place = {"ra": row["ra_deg"], "dec": dec, "at": row["observation_id"]}
    assert connection.execute(move, place).rowcount == 1

    still = row["sample_key"] in {one["sample_key"] for one in sky_rows(select(connection))}
    assert still is not given_up


def test_rows_that_are_read_anyway_come_first(connection: Connection) -> None:
    table = select(connection, sky_per_real=0.2)
    detected = defaultdict(list)
    for row in table.to_pylist():
        if row["reason"] is None and row["label_source"] != "sky":
            detected[row["observation_id"]].append(row["dec_deg"])

    apart = [
        min(abs(dec - row["dec_deg"]) for dec in detected[row["observation_id"]]) * 3600
        for row in sky_rows(table)
    ]
    assert np.median(apart) <= 64 * 1.01


@pytest.mark.parametrize(
    ("change", "count"),
    [
        (
            'UPDATE detections SET prediction_metadata = \'{"stamp_path": "stamps/a.fits"}\'',
            "no_frame",
        ),
        ("UPDATE observations SET image_width = NULL", "no_frame_size"),
    ],
)
def test_without_frames_none_are_drawn_and_the_samples_are_counted(
    connection: Connection, change: str, count: str
) -> None:
    connection.execute(text(change))

    table = select(connection)

    assert sky_rows(table) == []
    assert told(table)[count] == table["reason"].null_count


def test_injected_sources_are_nobodys_labels(connection: Connection) -> None:
    change = "UPDATE detections SET prediction_metadata = '{\"is_injected\": true}'"
    connection.execute(text(change))

    sources = {row["label_source"] for row in select(connection, sky_per_real=0).to_pylist()}

    assert sources == {"injected"}


def test_a_dataset_holds_them_without_a_target_and_apart_from_people_s_labels(
    databases: Any,
    roomy: tuple[str, Path],
    collect_from: Any,
    make_sky: Any,
) -> None:
    engine = databases.make(roomy[0])
    home = roomy[1]
    sky = make_sky(engine, home, home / "truth.jsonl", Store(f"file://{home}/store"))
    published = collect_from(sky)()
    record = get_dataset(engine, published.dataset_id)
    samples = read_table(sky.store, "samples", record.samples_key[8:-8])

    rows = [row for row in samples.to_pylist() if row["label_source"] == "sky"]
    assert len(rows) == published.classes["sky"] > 0
    assert record.quality_report["reviews"]["negatives"]["sky"]["drawn"] >= len(rows)
    for row in rows:
        assert row["detection_id"] is None
        mask = sky.packs.open("masks", row["mask_pack"])[row["mask_row"]]
        assert set(np.unique(mask)) <= {0, 255}
    groups = Counter(row["group_key"] for row in samples.to_pylist())
    assert all(groups[row["group_key"]] <= PLAN.epochs for row in rows)
    loaded = splits_from(record, sky.store, home / "cache")
    items = [
        item for split in loaded for item in split if item.key in {r["sample_key"] for r in rows}
    ]
    assert {int(item.label) for item in items} == {0}
    assert collect_from(sky)().reused
    databases.drop(engine)
