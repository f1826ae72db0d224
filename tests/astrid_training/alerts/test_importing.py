import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from astrid_training.alerts.importing import SimulatedSurveyError, import_alerts
from astrid_training.alerts.labels import LabelsError
from astrid_training.sources import Sources
from astrid_training.store import Store

FIRST = 2475433850015015000


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(Store((tmp_path / "store").as_uri()))


@pytest.fixture
def alerts(made: Any, tmp_path: Path) -> Path:
    """Four alerts on two exposures, two of one object, in two files."""
    folder = tmp_path / "alerts"
    folder.mkdir()
    places = [(505, 1, "ZTF1", 10.0), (505, 2, "ZTF2", 10.1), (506, 3, "ZTF1", 10.0)]
    records = [
        made.ztf_record(candid=FIRST + n, field=field, ra=47 + n / 100, dec=dec, object_id=name)
        for field, n, name, dec in places
    ]
    made.write_avro(folder / "a.avro", *records, codec="snappy")
    made.write_parquet(folder / "b.parquet", made.ztf_record(candid=FIRST + 4, field=506))
    return folder


def count(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def column(engine: Engine, sql: str) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(text(sql)).scalars())


def dump(engine: Engine) -> dict[str, list[Any]]:
    tables = ("surveys", "models", "observations", "difference_runs", "model_runs", "detections")
    return {t: column(engine, f"SELECT to_jsonb({t}) FROM {t} ORDER BY id") for t in tables}


def test_alerts_of_one_exposure_share_an_observation(
    database: Engine, sources: Sources, alerts: Path
) -> None:
    report = import_alerts(database, sources, [alerts])

    assert (report.read, report.imported, report.duplicates, report.rejected) == (4, 4, 0, [])
    assert report.surveys == {"ztf": 4}
    tables = ("observations", "difference_runs", "model_runs", "candidates", "detections")
    assert [count(database, table) for table in tables] == [2, 2, 2, 4, 4]
    assert column(
        database, "SELECT prediction_metadata ->> 'alert_id' FROM detections ORDER BY 1"
    ) == [str(FIRST + n) for n in (1, 2, 3, 4)]
    assert all(
        sources.head(path)
        for path in column(database, "SELECT prediction_metadata ->> 'stamp_path' FROM detections")
    )


def test_importing_again_changes_nothing(
    database: Engine, sources: Sources, alerts: Path, tmp_path: Path
) -> None:
    import_alerts(database, sources, [alerts])
    before = dump(database)

    report = import_alerts(database, sources, [alerts])

    assert (report.read, report.imported, report.duplicates) == (4, 0, 4)
    assert dump(database) == before


def test_one_alert_in_several_files_is_imported_once(
    made: Any, database: Engine, sources: Sources, alerts: Path
) -> None:
    made.write_parquet(alerts / "again.parquet", made.ztf_record(candid=FIRST + 4, field=506))

    report = import_alerts(database, sources, [alerts])

    assert (report.read, report.imported, report.duplicates) == (5, 4, 1)


def test_a_damaged_copy_does_not_hide_a_sound_one(
    made: Any, database: Engine, sources: Sources, alerts: Path
) -> None:
    broken = made.ztf_record({"Science": b"junk"}, candid=FIRST + 1)
    made.write_parquet(alerts / "0.parquet", broken)

    report = import_alerts(database, sources, [alerts])

    assert (report.read, report.imported, report.duplicates) == (5, 4, 0)
    assert [(refusal.path, refusal.reason) for refusal in report.rejected] == [
        (f"{alerts}/0.parquet#0", "bad_cutout")
    ]


def test_everything_read_is_imported_or_there_already_or_rejected(
    made: Any, database: Engine, sources: Sources, alerts: Path
) -> None:
    (alerts / "c.avro").write_bytes(b"Obj\x01 and then nothing")
    made.write_parquet(alerts / "d.parquet", {"objectId": "no alert"})
    made.write_parquet(alerts / "e.parquet", made.ztf_record({"Difference": None}, candid=5))
    made.write_avro(alerts / "f.avro", made.ztf_record(candid=FIRST + 1))

    report = import_alerts(database, sources, [alerts])

    assert report.read == report.imported + report.duplicates + len(report.rejected) == 8
    reasons = [refusal.reason for refusal in report.rejected]
    assert sorted(reasons) == ["damaged_file", "no_cutouts", "not_an_alert"]
    assert json.dumps(report.to_dict())  # what --json prints


def labels(made: Any, tmp_path: Path, *rows: tuple[int, int, str]) -> Path:
    return Path(
        made.write_csv(
            tmp_path / "labels.csv",
            *(
                {"candid": FIRST + n, "label": label, "label_tier": tier, "label_class": ""}
                for n, label, tier in rows
            ),
        )
    )


def test_labels_become_events_of_their_tier_and_machines_only_when_asked_for(
    made: Any, database: Engine, sources: Sources, alerts: Path, tmp_path: Path
) -> None:
    table = labels(made, tmp_path, (1, 1, "human_scan"), (2, 0, "machine"), (3, 0, "human_scan"))

    first = import_alerts(database, sources, [alerts], labels=table)
    second = import_alerts(
        database, sources, [alerts], labels=table, accept_machine_labels=True, tiers=["machine"]
    )

    assert (first.labels, first.labels_left) == ({"human_scan": 2}, {"machine": 1})
    assert (second.labels, second.labels_left) == ({"machine": 1}, {"human_scan": 2})
    told = column(
        database,
        "SELECT validator_id || ' ' || is_valid || ' ' || COALESCE(confidence_level::text, 'none') "
        "|| ' ' || (tags ->> 'label_source') FROM validation_events ORDER BY 1",
    )
    assert told == [
        "human_scan false none human",
        "human_scan true none human",
        "machine false LOW machine",
    ]
    status = "SELECT status::text FROM detections ORDER BY prediction_metadata ->> 'alert_id'"
    assert column(database, status) == ["VALIDATED", "PENDING", "REJECTED", "PENDING"]


def test_a_changed_label_is_a_further_event_and_so_is_changing_it_back(
    made: Any, database: Engine, sources: Sources, alerts: Path, tmp_path: Path
) -> None:
    entered = []
    for label in (1, 1, 0, 1):
        table = labels(made, tmp_path, (1, label, "human_scan"))
        entered.append(import_alerts(database, sources, [alerts], labels=table).labels.total())

    assert entered == [1, 0, 1, 1]
    order = "SELECT is_valid FROM validation_events ORDER BY created_at"
    assert column(database, order) == [True, False, True]


def test_a_bad_table_of_labels_imports_nothing(
    made: Any, database: Engine, sources: Sources, alerts: Path, tmp_path: Path
) -> None:
    table = made.write_csv(tmp_path / "labels.csv", {"candid": "2.47e18", "label": 1})

    with pytest.raises(LabelsError):
        import_alerts(database, sources, [alerts], labels=table)
    assert count(database, "detections") == 0


def test_alerts_are_not_mixed_with_a_simulated_survey(
    sky: Any, sources: Sources, alerts: Path
) -> None:
    with pytest.raises(SimulatedSurveyError, match="--survey"):
        import_alerts(sky.engine, sources, [alerts], survey="sim_ztf")


def test_a_survey_that_astrid_has_already_is_taken(
    database: Engine, sources: Sources, alerts: Path
) -> None:
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO surveys (id, name, is_active) "
                "VALUES ('00000000-0000-0000-0000-000000000001', 'ztf', true)"
            )
        )

    import_alerts(database, sources, [alerts])

    assert set(map(str, column(database, "SELECT survey_id FROM observations"))) == {
        "00000000-0000-0000-0000-000000000001"
    }


def test_a_table_of_fits_triplets_is_imported(
    made: Any, database: Engine, sources: Sources, tmp_path: Path
) -> None:
    made.write_triplet(tmp_path / "data" / "stamps" / "a.fits")
    row = made.candidate(file="stamps/a.fits", label=1, label_tier="human_scan", objectId="ZTF1")
    made.write_csv(tmp_path / "data" / "alerts.csv", row)

    report = import_alerts(database, sources, [tmp_path / "data"])

    assert (report.imported, report.labels) == (1, {"human_scan": 1})


def test_a_score_that_is_not_told_is_not_taken_for_one(
    made: Any, database: Engine, sources: Sources, tmp_path: Path
) -> None:
    path = made.write_parquet(tmp_path / "a.parquet", made.ztf_record(drb=None, rb=None))

    import_alerts(database, sources, [path])

    assert column(database, "SELECT prediction_metadata -> 'has_score' FROM detections") == [False]
