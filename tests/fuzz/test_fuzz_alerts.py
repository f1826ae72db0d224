"""Whatever a file of alerts holds, each packet has one outcome, and the rest are read."""

import copy
import csv
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from astrid_training.alerts.alert import AlertRefusedError
from astrid_training.alerts.importing import import_alerts
from astrid_training.alerts.surveys import parse_alert
from astrid_training.reasons import ALERT_REASONS
from astrid_training.sources import Sources
from astrid_training.store import Store
from tests.astrid_training.alerts import conftest as packets
from tests.fuzz.amounts import cases
from tests.fuzz.fits_mutations import changes as changes_of_fits

MOST_SECONDS, MOST_MB = 10.0, 900
FIRST = 2475433850015015000

NUMBERS = st.sampled_from(
    [0, -1, 1e-9, 1e9, 1e17, 1e300, -1e300, 5e-324, 2**31, 2**63, 10**400, 99_999.9996, 999.99951]
)
TEXTS = st.sampled_from(
    [
        *("", "nan", "inf", "1e999", "1e-9", "9" * 400, "٣", "²", "\0", "a\0b", "\u202etfz", "t"),
        *(
            "-9999",
            "true",
            "'; DROP TABLE detections; --",
            "../../etc/passwd",
            "x" * 5000,
            "İ",
            "ﬁ",
        ),
    ]
)
VALUES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), NUMBERS, TEXTS),
    *(st.text(max_size=30), st.binary(max_size=30), st.just("\ud800"), st.just([]), st.just({})),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Sound files of alerts by name."""
    folder = tmp_path_factory.mktemp("alerts")
    records = [packets.ztf_record(candid=FIRST + number) for number in range(2)]
    row = {key: value for key, value in packets.candidate().items() if key != "file"}
    for codec in ("null", "deflate", "snappy"):
        packets.write_avro(folder / f"{codec}.avro", *records, codec=codec)
    packets.write_parquet(folder / "ztf.parquet", *records)
    packets.write_parquet(folder / "rubin.parquet", packets.rubin_record())
    packets.write_csv(folder / "table.csv", *({**row, "file": "a.fits"} for _ in range(2)))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def check(found: dict[str, Any]) -> None:
    assert set(found["outcome"].split()) <= {"imported", *ALERT_REASONS}, found["outcome"]
    assert found["seconds"] < MOST_SECONDS
    assert found["peak_mb"] < MOST_MB


@pytest.mark.parametrize("name", ["null.avro", "deflate.avro", "snappy.avro", "ztf.parquet"])
def test_each_file_that_is_damaged_below_was_sound(
    bounded: Any, files: dict[str, bytes], name: str
) -> None:
    found = bounded.read_bytes("alerts", name, files[name])

    assert found["outcome"] == "imported imported"


Change = Callable[[bytes], bytes]
PLACES = st.integers(0, 1 << 20).map(lambda number: number / (1 << 20))
EDGES = PLACES.map(lambda place: place**8) | PLACES.map(lambda place: 1 - place**8) | PLACES
"""Where headers and footers are, more than anywhere else."""


def overwritten(place: float, more: bytes) -> Change:
    def change(content: bytes) -> bytes:
        at = int(place * len(content))
        return content[:at] + more + content[at + len(more) :]

    return change


def inserted(place: float, more: bytes) -> Change:
    def change(content: bytes) -> bytes:
        at = int(place * len(content))
        return content[:at] + more + content[at:]

    return change


CHANGES = st.one_of(
    st.builds(overwritten, EDGES, st.binary(min_size=1, max_size=8)),
    st.builds(overwritten, EDGES, st.sampled_from([b"\xff" * 9, b"\x80" * 9 + b"\x01", bytes(8)])),
    st.builds(inserted, EDGES, st.binary(min_size=1, max_size=20)),
    PLACES.map(lambda place: lambda content: content[: int(place * len(content))]),
    st.builds(inserted, EDGES, st.sampled_from([b'"', b"\r", b"\n" * 9, b"," * 99, b"\0"])),
)


@pytest.mark.trust
@cases(15, 1000)
@given(
    name=st.sampled_from(
        ["null.avro", "deflate.avro", "snappy.avro", "ztf.parquet", "rubin.parquet", "table.csv"]
    ),
    changes=st.lists(CHANGES, min_size=1, max_size=3),
)
def test_a_damaged_file_of_alerts_gives_one_outcome_a_packet(
    bounded: Any, files: dict[str, bytes], name: str, changes: list[Change]
) -> None:
    content = files[name]
    for change in changes:
        content = change(content)

    check(bounded.read_bytes("alerts", name, content))


@pytest.mark.trust
@cases(10, 500)
@given(changes=st.lists(changes_of_fits(), min_size=1, max_size=3))
def test_damaged_cutouts_are_read_or_refused_with_a_reason(
    bounded: Any, files: dict[str, bytes], triplet: bytes, changes: list[Change]
) -> None:
    for change in changes:
        triplet = change(triplet)
    bounded.write("a.fits", triplet)

    check(bounded.read_bytes("alerts", "table.csv", files["table.csv"]))


@pytest.fixture(scope="module")
def triplet(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Cutouts with a WCS, one of them compressed."""
    path = tmp_path_factory.mktemp("triplet") / "a.fits"
    sky = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 1.0, "BUNIT": "nJy"})
    hdus = [
        fits.ImageHDU(packets.pixels(), sky, name="SCIENCE"),
        fits.CompImageHDU(packets.pixels().astype(np.int16), sky, name="TEMPLATE"),
        fits.ImageHDU(packets.pixels(), sky, name="DIFFERENCE"),
    ]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    return path.read_bytes()


@pytest.mark.trust
@cases(50)
@given(
    survey=st.sampled_from(["ztf", "rubin"]),
    changes=st.lists(st.tuples(st.integers(0, 100), VALUES), min_size=1, max_size=4),
)
def test_an_alert_of_any_values_is_parsed_or_refused_with_a_reason(
    survey: str, changes: list[tuple[int, object]]
) -> None:
    record = copy.copy(RECORDS[survey])
    inner = "candidate" if survey == "ztf" else "diaSource"
    record[inner] = dict(record[inner])
    places = [*((record[inner], key) for key in record[inner]), *((record, key) for key in record)]
    for number, value in changes:
        values, key = places[number % len(places)]
        values[key] = value
    try:
        outcome = parse_alert(record).survey
    except AlertRefusedError as error:
        outcome = error.reason

    assert outcome in {survey, *ALERT_REASONS}


RECORDS = {"ztf": packets.ztf_record(), "rubin": packets.rubin_record()}
COLUMNS = [
    *(name for name in packets.candidate() if name != "candid"),
    *("objectId", "label", "label_tier", "label_class", "astrid_type", "confidence_level"),
    *("label_source", "file"),
]
CELLS = st.one_of(
    TEXTS,
    NUMBERS.map(str),
    st.text(st.characters(codec="utf-8"), max_size=30),
    st.floats().map(str),
)
ROWS = st.lists(
    st.dictionaries(st.sampled_from(COLUMNS), CELLS, max_size=3), min_size=20, max_size=20
)


@pytest.mark.trust
@cases(2, 40)
@given(rows=ROWS)
def test_a_table_of_any_values_is_entered_or_refused_row_by_row(
    database: Engine, tmp_path: Path, candids: Any, rows: list[dict[str, str]]
) -> None:
    if not (tmp_path / "a.fits").exists():
        packets.write_triplet(tmp_path / "a.fits")
    sound = {**packets.candidate(), "label": 1, "label_tier": "human", "file": "a.fits"}
    columns = [*sound, *(name for name in COLUMNS if name not in sound)]
    path = tmp_path / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows({**sound, "candid": next(candids), **row} for row in rows)
    sources = Sources(Store((tmp_path / "store").as_uri()))

    report = import_alerts(database, sources, [path], accept_machine_labels=True)

    assert report.read == report.imported + report.duplicates + len(report.rejected) >= len(rows)
    assert {refusal.reason for refusal in report.rejected} <= set(ALERT_REASONS)
    with database.connect() as connection:
        held = connection.execute(text("SELECT count(*) FROM detections")).scalar_one()
    assert held >= report.imported


@pytest.fixture(scope="module")
def candids() -> Any:
    return count(FIRST)
