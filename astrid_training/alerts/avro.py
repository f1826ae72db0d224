"""Records of Avro files, none of whose schemas or counts can make us read without end."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["read_avro"]

MAX_BYTES = 1 << 30
MAX_FIELDS = 10_000
"""Of a record, those of the records within it counted each time; Rubin's have some 500."""
MAX_BLOCK_BYTES = 256 << 20
"""Unpacked; writers end a block after some kilobytes, or one record."""
SYNC_BYTES = 16
WIDTHS = {"null": 0, "float": 4, "double": 8}
"""Least bytes of a primitive value; all others take one at least."""


def read_avro(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the records of a file.

    Raises:
        ValueError: if it is too large, its schema may describe what never ends, or it counts more
            records than it has bytes.
        TypeError: if its records have no fields.
        Exception: what `packets.UNREADABLE` lists, if it is damaged.
    """
    from fastavro import reader  # used here only

    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"over {MAX_BYTES} bytes; split the file")
    with path.open("rb") as stream:
        records = reader(stream)
        _Schema().weigh(records.writer_schema)
        if records.codec == "snappy":
            _check_blocks(stream)
        for number, record in enumerate(records):
            if not isinstance(record, Mapping):
                raise TypeError("its records have no named fields")
            if number >= size:
                raise ValueError(f"it counts more records than its {size} bytes can hold")
            yield record


def _check_blocks(stream: BinaryIO) -> None:
    """Return, at the place where it began, if the snappy blocks that follow state sane sizes.

    Its decoder takes the memory that a block states, and ends the process where there is none.
    """
    start = stream.tell()
    while _whole(stream) is not None:
        packed = (_whole(stream) or 0) >> 1  # zigzag; the count before it is looked at later
        begin = stream.tell()
        if (_whole(stream) or 0) > MAX_BLOCK_BYTES:
            raise ValueError(f"a block unpacks to over {MAX_BLOCK_BYTES} bytes")
        stream.seek(begin + packed + SYNC_BYTES)
    stream.seek(start)


def _whole(stream: BinaryIO) -> int | None:
    """Return the next number of seven bits a byte, or None at the end of the file."""
    value = 0
    for place in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << place
        if byte[0] < 0x80:
            break
    return value


class _Schema:
    """What the types of a schema take: the decoder follows them without asking whether they end."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int]] = {}
        self._open: set[str] = set()

    def weigh(self, schema: Any) -> tuple[int, int]:  # noqa: ANN401 - any JSON value
        """Return the least bytes of a value, and how many values lie in it.

        Raises:
            ValueError: if a type holds itself, items take no bytes, or there are too many fields.
        """
        if isinstance(schema, list):
            branches = [self.weigh(one) for one in schema]
            least = 1 + min((bytes_ for bytes_, _ in branches), default=0)
            return least, 1 + max((fields for _, fields in branches), default=0)
        if isinstance(schema, str):
            if schema in self._open:
                raise ValueError(f"its type {schema} holds itself, which no alert's does")
            return self._known.get(schema, (WIDTHS.get(schema, 1), 1))
        kind = schema["type"]
        if kind in {"record", "error"}:
            return self._weigh_record(schema)
        if kind in {"array", "map"}:
            least, _ = self.weigh(schema["items" if kind == "array" else "values"])
            if kind == "array" and least == 0:
                raise ValueError("its arrays hold items of no bytes, so any number of them")
            return 1, 1
        found = (int(schema["size"]), 1) if kind == "fixed" else self.weigh(kind)
        return self._known.setdefault(str(schema.get("name", kind)), found)

    def _weigh_record(self, schema: Mapping[str, Any]) -> tuple[int, int]:
        name = str(schema["name"])
        self._open.add(name)
        fields = [self.weigh(field["type"]) for field in schema["fields"]]
        self._open.remove(name)
        found = sum(least for least, _ in fields), 1 + sum(within for _, within in fields)
        if found[1] > MAX_FIELDS:
            raise ValueError(f"its records have over {MAX_FIELDS} fields")
        self._known[name] = found
        return found
