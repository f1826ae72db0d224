"""Values of packets and tables, read with suspicion: many spellings of "missing", and long numbers."""

import math
import re
from collections.abc import Mapping
from typing import Any

from astrid_training.alerts.alert import AlertRefusedError

__all__ = ["Record", "flag", "identifier", "known", "normalised", "number", "text", "whole"]

Record = Mapping[str, Any]
"""Values by normalised name."""

SENTINELS = {-99.0, -999.0, -9999.0, -99999.0}  # "not measured", as several surveys write it
MISSING = {"", "null", "none", "nan", "masked", "--"}
TRUE, FALSE = {"t", "true", "1", "1.0"}, {"f", "false", "0", "0.0"}
DIGITS = re.compile(r"[0-9]{1,20}")
UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # PostgreSQL takes neither NUL nor half a character


def normalised(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record with names in lower case and without underscores: one spelling for all."""
    return {name.replace("_", "").lower(): value for name, value in record.items()}


def number(record: Record, *names: str) -> float | None:
    """Return the first of these fields that holds a finite number and no sentinel."""
    for name in names:
        value = record.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            continue
        try:
            found = float(value)
        except (ValueError, OverflowError):  # 'null', 'Fail 503', a whole number of 400 digits
            continue
        if math.isfinite(found) and found not in SENTINELS:
            return found
    return None


def whole(record: Record, name: str) -> int | None:
    """Return a field that holds a whole number, of those that an integer of the database can be."""
    found = number(record, name)
    return int(found) if found is not None and found.is_integer() and abs(found) < 2**31 else None


def text(record: Record, *names: str) -> str | None:
    """Return the first of these fields that says something.

    Raises:
        AlertRefusedError: if no text of the database can hold it.
    """
    for name in names:
        value = record.get(name)
        said = "" if value is None else str(value).strip()
        if UNSTORABLE.search(said):
            raise AlertRefusedError("bad_text", f"{name} is {said[:80]!r}, with a NUL or no text")
        if said.casefold() not in MISSING:
            return said
    return None


def known(record: Record, name: str) -> float | str | None:
    """Return a field as a number, else as text; None for a sentinel."""
    found = number(record, name)
    if found is not None:
        return found
    said = text(record, name)
    return said if said is None or number({name: said.lstrip("-")}, name) is None else None


def flag(record: Record, name: str) -> bool | None:
    """Return a truth value in any of its spellings."""
    said = str(record.get(name)).strip().casefold()
    return True if said in TRUE else False if said in FALSE else None


def identifier(record: Record, *names: str) -> str:
    """Return the first of these fields that holds a number of up to 20 digits, as text.

    Raises:
        AlertRefusedError: if there is none, or a float has lost its last digits.
    """
    for name in names:
        value = record.get(name)
        if value is None:
            continue
        said = str(value).strip()
        if isinstance(value, float) or not DIGITS.fullmatch(said):
            raise AlertRefusedError(
                "bad_identifier",
                f"{name} is {said!r}, which is no whole number; read it as text, never as a float",
            )
        return said
    raise AlertRefusedError("not_an_alert", f"no field {' or '.join(names)}")
