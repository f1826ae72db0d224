"""Files of alerts that are made to fill memory, never to end, or to lead elsewhere."""

import bz2
import gzip
import json
import lzma
import os
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cramjam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astrid_training.alerts.packets import alert_files, read_packets
from tests.astrid_training.alerts import conftest as packets
from tests.astrid_training.test_fits_hostile import tile_bomb

MOST_SECONDS, MOST_MB = 15.0, 1100
"""With what the imports take, 70 MB, and the 512 MB that the next records may."""
GIGABYTE = 1 << 30


def long(number: int) -> bytes:
    """Return an Avro long."""
    number = (number << 1) ^ (number >> 63)
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def avro(field: object, block: bytes = b"", *, number: int = 1, codec: str = "null") -> bytes:
    """Return an Avro file of one block of records that have one field."""
    schema: Any = {"type": "record", "name": "r", "fields": [{"name": "x", "type": field}]}
    return avro_of(json.dumps(schema), block, number=number, codec=codec)


def avro_of(schema: str, block: bytes, *, number: int = 1, codec: str = "null") -> bytes:
    told = {b"avro.schema": schema.encode(), b"avro.codec": codec.encode()}
    head = b"".join(long(len(part)) + part for pair in told.items() for part in pair)
    sync = b"S" * 16
    return b"".join(
        [b"Obj\1", long(2), head, long(0), sync, long(number), long(len(block)), block, sync]
    )


def deflated() -> bytes:
    """Return a text of a gigabyte, packed."""
    squeeze = zlib.compressobj(9, wbits=-15)
    head = squeeze.compress(long(GIGABYTE)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    part = squeeze.compress(bytes(1 << 20)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return head + part * (GIGABYTE >> 20) + squeeze.flush()


def streams(compress: Callable[[bytes], bytes]) -> bytes:
    """Return the same of a codec that takes one stream after the other."""
    return compress(long(GIGABYTE)) + compress(bytes(1 << 20)) * (GIGABYTE >> 20)


def snappy(size: int) -> bytes:
    """Return a snappy block that says it unpacks to so much."""
    packed = bytes(cramjam.snappy.compress_raw(b"x" * 40))
    stated = b""
    while size > 0x7F:
        stated += bytes([size & 0x7F | 0x80])
        size >>= 7
    return stated + bytes([size]) + packed[1:] + struct.pack(">I", 0)


def doubling(levels: int) -> str:
    """Return a schema of no bytes whose fields are 2 to the power of `levels`."""
    inner: Any = {"type": "record", "name": "r0", "fields": [{"name": "x", "type": "null"}]}
    for level in range(1, levels):
        fields = [{"name": "a", "type": inner}, {"name": "b", "type": f"r{level - 1}"}]
        inner = {"type": "record", "name": f"r{level}", "fields": fields}
    return json.dumps(inner)


def repeated_value(folder: Path) -> bytes:
    """Return a Parquet file in which 64 rows share a value of 50 MB: 3 GB in 3 kB."""
    stamp = pa.DictionaryArray.from_arrays(
        pa.array([0] * 64, pa.int32()), pa.array([bytes(50 << 20)])
    )
    table = pa.table({"candid": pa.array([1] * 64), "cutoutScience": stamp})
    pq.write_table(table, folder / "made.parquet", compression="zstd")
    return (folder / "made.parquet").read_bytes()


def long_list(folder: Path) -> bytes:
    """Return a Parquet file of one row with a list of 50 million nulls: 0.5 kB."""
    pq.write_table(pa.table({"prv_candidates": [[None] * 50_000_000]}), folder / "made.parquet")
    return (folder / "made.parquet").read_bytes()


def many_rows(folder: Path) -> bytes:
    pq.write_table(pa.table({"candid": pa.array([1] * 20_000_000)}), folder / "made.parquet")
    return (folder / "made.parquet").read_bytes()


def itself() -> bytes:
    return avro(["null", "r"], b"\2" * 3_000_000 + b"\0")


def nested() -> bytes:
    return avro_of('{"type":"array","items":' * 5000 + '"null"' + "}" * 5000, b"")


HOSTILE: dict[str, Callable[[Path], bytes]] = {
    "deflate.avro": lambda _: avro("bytes", deflated(), codec="deflate"),
    "bzip2.avro": lambda _: avro("bytes", streams(bz2.compress), codec="bzip2"),
    "xz.avro": lambda _: avro("bytes", streams(lzma.compress), codec="xz"),
    "snappy.avro": lambda _: avro("bytes", snappy((1 << 32) - 1), codec="snappy"),
    "no-snappy.avro": lambda _: avro("bytes", b"\xff" * 40, codec="snappy"),
    "no-xz.avro": lambda _: avro("bytes", b"\xff" * 40, codec="xz"),
    "no-deflate.avro": lambda _: avro("bytes", b"\xff" * 40, codec="deflate"),
    "records-of-nothing.avro": lambda _: avro("null", number=10**12),
    "items-of-nothing.avro": lambda _: avro(
        {"type": "array", "items": "null"}, long(10**10) + b"\0"
    ),
    "itself.avro": lambda _: itself(),
    "nested.avro": lambda _: nested(),
    "doubling.avro": lambda _: avro_of(doubling(40), b""),
    "long-text.avro": lambda _: avro("string", long(1 << 40)),
    "far-date.avro": lambda _: avro(
        {"type": "long", "logicalType": "timestamp-micros"}, long(2**62)
    ),
    "value.parquet": repeated_value,
    "rows.parquet": many_rows,
    "quotes.csv": lambda _: b'candid,jd\n1,"2"3\n',
    "cell.csv": lambda _: b"candid,jd\n1," + b"2" * 10_000_000,
    "line.csv": lambda _: b"x" * (300 << 20),
}


HEAVY = {"bzip2.avro", "xz.avro", "value.parquet", "rows.parquet", "line.csv"}
"""That take seconds to be made or refused."""


def cases(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.slow if name in HEAVY else ()) for name in names]


@pytest.mark.trust
@pytest.mark.parametrize("name", cases(HOSTILE))
def test_a_hostile_file_is_damaged_within_its_bounds(
    bounded: Any, tmp_path: Path, name: str
) -> None:
    found = bounded.read_bytes("alerts", name, HOSTILE[name](tmp_path))

    *before, last = found["outcome"].split()
    assert (set(before) <= {"not_an_alert"}, last) == (True, LAST.get(name, "damaged_file"))
    assert found["seconds"] < MOST_SECONDS
    assert found["peak_mb"] < MOST_MB


LAST = {
    "records-of-nothing.avro": "not_an_alert",  # the reader here stops before its 10^12 records
}


@pytest.mark.trust
@pytest.mark.slow
def test_a_long_list_of_what_is_not_taken_is_not_read(bounded: Any, tmp_path: Path) -> None:
    found = bounded.read_bytes("alerts", "list.parquet", long_list(tmp_path))

    assert found["outcome"] == "not_an_alert"
    assert found["peak_mb"] < 200


def test_no_file_has_more_records_than_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.avro"
    path.write_bytes(avro("null", number=10**12))

    *_, last = found = list(read_packets(path))

    assert len(found) == path.stat().st_size + 1
    assert last.refused is not None
    assert last.refused.reason == "damaged_file"


@pytest.mark.parametrize("named", [True, False])
def test_pipes_and_devices_are_refused_and_not_opened(
    bounded: Any, tmp_path: Path, *, named: bool
) -> None:
    os.mkfifo(tmp_path / "pipe.avro")
    os.mkfifo(tmp_path / "pipe.csv")
    wanted = [tmp_path / "pipe.avro", tmp_path / "pipe.csv"] if named else [tmp_path]

    files = alert_files([*wanted, Path("/dev/zero")])

    assert len(files) == 3
    for path in files:
        found = bounded.read("alerts", path)
        assert (found["outcome"], found["seconds"] < 5) == ("unknown_format", True)


def test_links_of_a_folder_are_not_followed(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    packets.write_avro(outside / "secret.avro", packets.ztf_record())
    (inside / "file.avro").symlink_to(outside / "secret.avro")
    (inside / "folder").symlink_to(outside)
    (inside / "loop").symlink_to(inside)
    (inside / "loop.avro").symlink_to(inside / "loop.avro")
    (inside / "device.csv").symlink_to("/dev/zero")

    assert alert_files([inside]) == []


CUTOUTS: dict[str, Callable[[], bytes]] = {
    "packed zeros": lambda: gzip.compress(bytes(1 << 20)) * 2_000,
    "a bomb in a tile": lambda: gzip.compress(tile_bomb(), 1, mtime=0),
    "40 MB": lambda: bytes(40 << 20),
    "a frame, no stamp": lambda: packets.fits_bytes(np.zeros((1100, 4), ">f4")),
    "packed twice": lambda: gzip.compress(packets.fits_bytes(packets.pixels())),
}


@pytest.mark.trust
@pytest.mark.parametrize("name", CUTOUTS)
def test_a_hostile_cutout_costs_its_own_alert_only(
    bounded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HOSTILE_SCRATCH", str(tmp_path / "made.fits"))
    stamp = {"fileName": "a.fits.gz", "stampData": CUTOUTS[name]()}
    records = [packets.ztf_record({"Science": stamp}, candid=5), packets.ztf_record(candid=6)]
    path = packets.write_avro(tmp_path / "a.avro", *records, codec="deflate")

    found = bounded.read("alerts", path)

    assert found["outcome"] == "bad_cutout imported"
    assert found["seconds"] < MOST_SECONDS
    assert found["peak_mb"] < MOST_MB
