"""Files of alerts: what lies in a folder, and the records of each file one after the other."""

import csv
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path
from typing import Any

import cramjam
import pyarrow as pa
import pyarrow.parquet as pq
from fastavro.schema import SchemaParseException

from astrid_training.alerts.alert import AlertRefusedError
from astrid_training.alerts.avro import read_avro
from astrid_training.memory import at_most_more

__all__ = ["Packet", "alert_files", "read_packets"]

TABLES = {".csv", ".parquet"}
PACKETS = {".avro", *TABLES}
ROWS_AT_ONCE = 64  # of a Parquet file: with cutouts some MB
MOST_BYTES = 512 << 20
"""Of memory that the next records may take: some kilobytes of a file may unpack to any size."""
UNREADABLE = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(MemoryError, RecursionError, SchemaParseException, struct.error, csv.Error),
    *(zlib.error, LZMAError, cramjam.DecompressionError),
)
"""What decoders raise on damaged bytes; fastavro raises nearly anything."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One record of a file, or what became of a file that could not be read on."""

    source: str
    """The file, and the record's number where it holds several."""
    record: Mapping[str, Any]
    triplet: Path | None = None
    """The FITS file of the three cutouts, where a table names one."""
    refused: AlertRefusedError | None = None


def alert_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files of alerts among the paths and in the folders below them, sorted.

    Links to elsewhere are not followed. FITS files count only where a table names them.

    Raises:
        FileNotFoundError: if a path is not there.
    """
    found: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"no file or folder {path}; correct the path")
        if not path.is_dir():
            found.add(path)
            continue
        for folder, _, names in os.walk(path):  # follows no link to a folder
            candidates = (Path(folder, name) for name in names)
            found |= {f for f in candidates if f.suffix.lower() in PACKETS and not f.is_symlink()}
    return sorted(found)


def read_packets(path: Path) -> Iterator[Packet]:
    """Yield the records of one file; the last one tells if the file could not be read to its end."""
    readers = {".avro": read_avro, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None or not path.is_file():  # who opens a pipe waits for its other end
        what = (path.suffix or "no ending") if path.is_file() else "no regular file"
        detail = f"{what}: give .avro, .parquet, or a table that names files"
        yield Packet(str(path), {}, refused=AlertRefusedError("unknown_format", detail))
        return
    number = -1
    try:
        for number, record in enumerate(_bounded(reader(path))):
            yield _packet(path, number, record)
    except UNREADABLE as error:
        after = f" after {number + 1} records" if number >= 0 else ""
        detail = f"{type(error).__name__}{after}: {error}"[:500]
        yield Packet(f"{path}#{number + 1}", {}, refused=AlertRefusedError("damaged_file", detail))


def _bounded(records: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the records; a `MemoryError` is raised where the next one takes too much."""
    while True:
        with at_most_more(MOST_BYTES):
            record = next(records, None)
        if record is None:
            return
        yield record


def _packet(path: Path, number: int, record: Mapping[str, Any]) -> Packet:
    source = f"{path}#{number}"
    if not record.get("file"):
        return Packet(source, record)
    try:
        return Packet(source, record, _beside(path, str(record["file"])))
    except AlertRefusedError as error:
        return Packet(source, record, refused=error)


def _beside(table: Path, name: str) -> Path:
    """Return the file that a table names, from the table's folder or from the one above.

    Raises:
        AlertRefusedError: if there is none, or it lies elsewhere.
    """
    for root in (table.parent.resolve(), table.parent.resolve().parent):
        try:
            file = (root / name).resolve()
            is_there = file.is_file()
        except (OSError, ValueError) as error:  # a name too long, or with a NUL
            raise AlertRefusedError("bad_path", f"{name[:80]!r}: {error}") from error
        if is_there and root not in file.parents:
            raise AlertRefusedError("bad_path", f"{name!r} leads out of {root}")
        if is_there:
            return file
    raise AlertRefusedError("no_file", f"no file {name!r} beside {table.name}")


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows, without the lists in them: alerts of the past, of which nothing is taken."""
    try:
        with pq.ParquetFile(path) as table:
            size = path.stat().st_size
            if table.metadata.num_rows > size:
                raise ValueError(f"it counts more rows than its {size} bytes can hold")
            columns = [table.schema.column(number) for number in range(len(table.schema))]
            single = [column.path for column in columns if column.max_repetition_level == 0]
            for batch in table.iter_batches(ROWS_AT_ONCE, columns=single, use_threads=False):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error


def _csv(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        for row in csv.DictReader(stream, strict=True):
            yield {name: value for name, value in row.items() if name}
