"""Labels that somebody gives with alerts, and how far each may be trusted."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from astrid_training.alerts.alert import Alert, AlertRefusedError
from astrid_training.alerts.values import Record, flag, identifier, normalised, text
from astrid_training.taxonomy import taxonomy

__all__ = ["GivenLabel", "GivenLabels", "LabelsError"]

NO_TIER = "none"
MACHINE_LEVEL = "LOW"
LONGEST_TIER, LONGEST_WORD = 100, 50  # characters of AstrID's columns
LEVELS = ("LOW", "MEDIUM", "HIGH", "EXPERT")


class LabelsError(ValueError):
    """A table of labels that cannot be used."""


@dataclass(frozen=True, slots=True)
class GivenLabel:
    """What one source says of one alert."""

    tier: str
    """How the label came about; becomes the validator. Those of people begin with `human`."""
    is_valid: bool
    word: str | None
    """The class, in the words of the taxonomy where it knows them."""
    level: str | None
    notes: str | None
    """The source's own words."""

    @property
    def source(self) -> Literal["human", "machine"]:
        """Machine where no person looked at the alert itself: a catalogue, an ephemeris, a score."""
        return "human" if self.tier.startswith("human") else "machine"


class GivenLabels:
    """Labels by alert, from the columns beside the alerts or from a table of its own.

    Columns: `label` (1 real, 0 bogus, empty: none), `label_tier`, and optionally `label_class`,
    `astrid_type` (the class in AstrID's words), `confidence_level`, `label_source`.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read the table at `path`; None: labels stand in the tables of the alerts themselves.

        Raises:
            LabelsError: if a column is missing or a row makes no sense.
            OSError: if it cannot be read.
        """
        self._by_alert = None if path is None else _read(path)

    def of(self, alert: Alert, record: Mapping[str, Any]) -> GivenLabel | None:
        """Return the label of an alert, if it has one.

        Args:
            alert: whose label.
            record: the packet or row that the alert was read from.
        """
        if self._by_alert is not None:
            return self._by_alert.get(alert.alert_id)
        values = normalised(record)
        return _label(values) if "labeltier" in values else None


def _read(path: Path) -> dict[str, GivenLabel]:
    if path.exists() and not path.is_file():  # who opens a pipe waits for its other end
        raise LabelsError(f"{path} is no regular file; name a table")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            table = csv.DictReader(stream)
            rows = [normalised({n: v for n, v in row.items() if n}) for row in table]
    except (csv.Error, UnicodeDecodeError) as error:
        raise LabelsError(f"{path} is no table of labels: {error}") from error
    for column in ("label", "labeltier"):
        if rows and column not in rows[0]:
            raise LabelsError(
                f"{path} has no column {column}; give candid, label (1 or 0) and label_tier"
            )
    found: dict[str, GivenLabel] = {}
    for number, row in enumerate(rows, start=2):
        try:
            key, label = identifier(row, "candid", "diasourceid", "alertid"), _label(row)
        except AlertRefusedError as error:
            raise LabelsError(f"{path} line {number}: {error.detail}") from error
        if label is not None:
            found[key] = label
    return found


def _label(values: Record) -> GivenLabel | None:
    tier, is_valid = text(values, "labeltier"), flag(values, "label")
    if tier is None or tier.casefold() == NO_TIER or is_valid is None:
        return None
    said = text(values, "labelclass")
    level = (text(values, "confidencelevel") or "").upper()
    told = [said, text(values, "labelsource")]
    label = GivenLabel(
        tier=tier[:LONGEST_TIER],
        is_valid=is_valid,
        word=_word(said, text(values, "astridtype")),
        level=level if level in LEVELS else None,
        notes=": ".join(filter(None, told)) or None,
    )
    return replace(label, level=MACHINE_LEVEL) if label.source == "machine" else label


def _word(said: str | None, astrid_type: str | None) -> str | None:
    """Return the first of the two words that the taxonomy knows, else what was said."""
    for word in (said, astrid_type):
        if word is not None and taxonomy().meaning(word).axis != "unmapped":
            return word[:LONGEST_WORD]
    return said and said[:LONGEST_WORD]
