"""Files of alerts: what lies in a folder, and the records of each file one after the other."""

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from astrid_training.alerts.alert import AlertRefusedError

__all__ = ["Packet", "alert_files", "read_packets"]

TABLES = {".csv", ".parquet"}
PACKETS = {".avro", *TABLES}
ROWS_AT_ONCE = 64  # of a Parquet file: with cutouts some MB
MAX_AVRO_BYTES = 1 << 30
UNREADABLE = (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError)
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
        if path.is_file():
            found.add(path)
            continue
        for folder, _, names in os.walk(path):  # follows no link to a folder
            candidates = (Path(folder, name) for name in names)
            found |= {f for f in candidates if f.suffix.lower() in PACKETS and not f.is_symlink()}
    return sorted(found)


def read_packets(path: Path) -> Iterator[Packet]:
    """Yield the records of one file; the last one tells if the file could not be read to its end."""
    readers = {".avro": _avro, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        detail = f"{path.suffix or 'no ending'}: give .avro, .parquet, or a table that names files"
        yield Packet(str(path), {}, refused=AlertRefusedError("unknown_format", detail))
        return
    number = -1
    try:
        for number, record in enumerate(reader(path)):
            yield _packet(path, number, record)
    except UNREADABLE as error:
        after = f" after {number + 1} records" if number >= 0 else ""
        detail = f"{type(error).__name__}{after}: {error}"
        yield Packet(f"{path}#{number + 1}", {}, refused=AlertRefusedError("damaged_file", detail))


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


def _avro(path: Path) -> Iterator[Mapping[str, Any]]:
    from fastavro import reader  # used here only

    if path.stat().st_size > MAX_AVRO_BYTES:
        raise ValueError(f"over {MAX_AVRO_BYTES} bytes; split the file")
    with path.open("rb") as stream:
        for record in reader(stream):
            if not isinstance(record, Mapping):
                raise TypeError("its records have no named fields")
            yield record


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(ROWS_AT_ONCE):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error


def _csv(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        for row in csv.DictReader(stream, strict=True):
            yield {name: value for name, value in row.items() if name}
