"""Files of alerts into AstrID's tables and the store, each alert once."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine

from astrid_training.alerts.alert import Alert, AlertRefusedError
from astrid_training.alerts.cutouts import read_cutouts, stamp_file
from astrid_training.alerts.labels import GivenLabel, GivenLabels
from astrid_training.alerts.packets import Packet, alert_files, read_packets
from astrid_training.alerts.placing import place_on_cutout
from astrid_training.alerts.rows import (
    TABLES,
    Row,
    alert_rows,
    detection_id,
    event_row,
    stamp_key,
    survey_row,
)
from astrid_training.alerts.surveys import parse_alert
from astrid_training.database import query, reading
from astrid_training.sources import Sources

__all__ = ["ImportReport", "Refusal", "SimulatedSurveyError", "import_alerts"]

CHUNK = 256  # alerts of one transaction; with their stamps some 20 MB
UPLOADS_AT_ONCE = 8  # the object store's client saturates here
SIMULATED = "Simulated sky"


class SimulatedSurveyError(ValueError):
    """Alerts would be mixed with a simulated survey of the same name."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An alert, or a file, of which nothing could be made."""

    path: str
    """The file, with `#` and the number of its record, from 0."""
    reason: str
    detail: str


@dataclass(slots=True)
class ImportReport:
    """What became of the alerts: read = imported + duplicates + rejected."""

    read: int = 0
    imported: int = 0
    duplicates: int = 0
    rejected: list[Refusal] = field(default_factory=list)
    surveys: Counter[str] = field(default_factory=Counter)
    """Alerts imported, by survey."""
    labels: Counter[str] = field(default_factory=Counter)
    """Labels entered as validation events, by tier."""
    labels_left: Counter[str] = field(default_factory=Counter)
    """Labels given but not entered, for their tier was not asked for, by tier."""

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "read": self.read,
            "imported": self.imported,
            "duplicates": self.duplicates,
            "rejected": [asdict(refusal) for refusal in self.rejected],
            "surveys": dict(self.surveys),
            "labels": dict(self.labels),
            "labels_left": dict(self.labels_left),
        }


@dataclass(frozen=True, slots=True)
class _Read:
    """An alert with its label, and where it was read."""

    source: str
    alert: Alert
    label: GivenLabel | None


def import_alerts(
    engine: Engine,
    sources: Sources,
    paths: Sequence[Path],
    *,
    survey: str | None = None,
    labels: Path | None = None,
    tiers: Sequence[str] | None = None,
    accept_machine_labels: bool = False,
    progress: Callable[[ImportReport], None] | None = None,
) -> ImportReport:
    """Import every alert of the files and return what became of each.

    An alert that is there already is a duplicate; a label that it did not have is entered all the
    same. Stamps are stored before rows are written, some hundred alerts at a time, so that an
    import that was cut off is finished by repeating it.

    Args:
        engine: to a migrated database, as its owner.
        sources: the store that AstrID's bare keys lead to.
        paths: files of alerts, or folders of them.
        survey: name in surveys; None: ztf or rubin, as the packets tell.
        labels: a table of labels; None: the columns beside the alerts, where there are any.
        tiers: which label tiers to enter; None: all.
        accept_machine_labels: enter labels that no person gave, too; they are marked as such.
        progress: told after each chunk.

    Raises:
        FileNotFoundError: if a path is not there.
        LabelsError: if the table of labels cannot be used.
        SimulatedSurveyError: if the survey of this name was simulated.
    """
    report, given = ImportReport(), GivenLabels(labels)
    wanted = _Wanted(tiers, accept_machine_labels)
    seen: set[UUID] = set()
    packets = chain.from_iterable(read_packets(file) for file in alert_files(paths))
    with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
        while chunk := list(islice(packets, CHUNK)):
            report.read += len(chunk)
            known = len(report.rejected)
            read = list(_parsed(chunk, given, survey, report))
            stored = _store_new(engine, sources, pool, read, seen, report)
            order = {packet.source: number for number, packet in enumerate(chunk)}
            report.rejected[known:] = sorted(report.rejected[known:], key=lambda r: order[r.path])
            with engine.begin() as connection:
                _insert(connection, stored, report)
                there = [one for one in read if detection_id(one.alert) in seen]
                _enter_labels(connection, there, wanted, report)
            if progress is not None:
                progress(report)
    return report


@dataclass(frozen=True, slots=True)
class _Wanted:
    tiers: Sequence[str] | None
    machines: bool

    def takes(self, label: GivenLabel) -> bool:
        """Tell whether a label is entered."""
        asked = self.tiers is None or label.tier in self.tiers
        return asked and (self.machines or label.source == "human")


def _parsed(
    chunk: Iterable[Packet], given: GivenLabels, survey: str | None, report: ImportReport
) -> Iterator[_Read]:
    for packet in chunk:
        try:
            if packet.refused is not None:
                raise packet.refused
            alert = parse_alert(packet.record, survey, packet.triplet)
            yield _Read(packet.source, alert, given.of(alert, packet.record))
        except AlertRefusedError as error:
            report.rejected.append(Refusal(packet.source, error.reason, error.detail))


def _store_new(
    engine: Engine,
    sources: Sources,
    pool: ThreadPoolExecutor,
    read: Sequence[_Read],
    seen: set[UUID],
    report: ImportReport,
) -> list[tuple[Alert, tuple[int, int]]]:
    """Store the stamps of alerts that are new and return these with their places on the stamps."""
    ids = {detection_id(one.alert) for one in read}
    with reading(engine) as connection:
        known = connection.execute(query("alert_known"), {"ids": sorted(ids - seen)}).scalars()
        seen.update(known)
    placed: list[tuple[Alert, tuple[int, int]]] = []
    waiting = list(read)
    while waiting:
        new: dict[UUID, _Read] = {}
        further: list[_Read] = []  # copies, looked at if the first one turns out to be no good
        for one in waiting:
            key = detection_id(one.alert)
            if key in seen:
                report.duplicates += 1
            elif key in new:
                further.append(one)
            else:
                new[key] = one
        outcomes = pool.map(lambda one: _stored(sources, one), new.values())
        for key, one, outcome in zip(new, new.values(), outcomes, strict=True):
            if isinstance(outcome, Refusal):
                report.rejected.append(outcome)
            else:
                placed.append((one.alert, outcome))
                seen.add(key)
        waiting = further
    return placed


def _stored(sources: Sources, one: _Read) -> tuple[int, int] | Refusal:
    try:
        cutouts = read_cutouts(one.alert)
        pixel = place_on_cutout(one.alert, cutouts["science"].pixels.shape)
    except AlertRefusedError as error:
        return Refusal(one.source, error.reason, error.detail)
    sources.put(stamp_key(one.alert), stamp_file(one.alert, cutouts))
    return pixel


def _insert(
    connection: Connection, placed: Sequence[tuple[Alert, tuple[int, int]]], report: ImportReport
) -> None:
    names = sorted({alert.survey for alert, _ in placed})
    surveys = {name: _survey_id(connection, name) for name in names}
    rows: dict[str, list[Row]] = {}
    for alert, pixel in placed:
        for table, more in alert_rows(alert, surveys[alert.survey], pixel).items():
            rows.setdefault(table, []).extend(more)
    for table in TABLES:
        if rows:
            _add(connection, table, rows[table])
    report.imported += len(placed)
    report.surveys.update(alert.survey for alert, _ in placed)


def _survey_id(connection: Connection, name: str) -> UUID:
    _add(connection, "surveys", [survey_row(name, datetime.now(UTC))])
    found = connection.execute(query("alert_survey"), {"name": name}).one()
    if (found.description or "").startswith(SIMULATED):
        raise SimulatedSurveyError(
            f"the survey {name!r} was simulated: real alerts and simulated rows would mix; "
            "give the alerts a name of their own with --survey, or use another database"
        )
    identity: UUID = found.id
    return identity


def _add(connection: Connection, table: str, rows: Sequence[Row]) -> None:
    """Insert rows that are not there yet; of equal ones the first."""
    connection.execute(query(f"alert_add_{table}"), {"rows": json.dumps(rows, default=_plain)})


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _enter_labels(
    connection: Connection, read: Sequence[_Read], wanted: _Wanted, report: ImportReport
) -> None:
    """Enter the labels that differ from the last that their source gave."""
    labelled: dict[UUID, tuple[Alert, GivenLabel]] = {}
    for one in read:
        if one.label is None:
            continue
        if wanted.takes(one.label):
            labelled.setdefault(detection_id(one.alert), (one.alert, one.label))
        else:
            report.labels_left[one.label.tier] += 1
    given = _given(connection, list(labelled))
    now = datetime.now(UTC)
    events: list[Row] = []
    decided: list[Row] = []
    for key, (alert, label) in labelled.items():
        last, number = given.get((key, label.tier), (None, 0))
        if last == (label.is_valid, label.word, label.level):
            continue
        events.append(event_row(alert, label, number, now))
        report.labels[label.tier] += 1
        if label.source == "human":
            told = {"detection_id": key, "is_valid": label.is_valid, "label": label.word}
            decided.append(told)
    _add(connection, "validation_events", events)
    connection.execute(
        query("alert_settle"), {"rows": json.dumps(decided, default=_plain), "now": now}
    )


def _given(
    connection: Connection, detections: Sequence[UUID]
) -> Mapping[tuple[UUID, str], tuple[tuple[bool, str | None, str | None], int]]:
    """Return what each validator said last of each detection, and how often it spoke."""
    rows = connection.execute(query("alert_labels_given"), {"ids": sorted(detections)})
    return {
        (row.detection_id, row.validator_id): ((row.is_valid, row.label, row.level), row.events)
        for row in rows
    }
