"""Make a simulated survey: files into the store, rows into the database, truth into a file."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sqlalchemy import Connection

from astrid_training.simulate.artifacts import draw_artifacts
from astrid_training.simulate.conditions import draw_epochs, draw_reference
from astrid_training.simulate.fits_files import fits_bytes
from astrid_training.simulate.frames import render_reference, render_science, subtract
from astrid_training.simulate.plan import SkyPlan, Stream
from astrid_training.simulate.planes import difference_planes, frame_planes
from astrid_training.simulate.reviewers import Reviewer, draw_reviewers
from astrid_training.simulate.rows import (
    Frame,
    Row,
    frame_rows,
    insert_rows,
    reference_rows,
    survey_rows,
)
from astrid_training.simulate.sightings import find_sightings
from astrid_training.simulate.sky import Field, draw_field
from astrid_training.simulate.subjects import make_subject
from astrid_training.simulate.truth import reviewer_truth, truth_of_field, write_truth

__all__ = ["Progress", "Put", "SimulatedField", "SimulationReport", "make_field", "simulate"]

Put = Callable[[str, bytes], str]
"""Stores the bytes of one file under a key; returns the path that rows refer to it by."""
Progress = Callable[[int, int], None]
"""Told how many fields of how many are done."""


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """What was made."""

    survey: str
    plan_key: str
    files: int
    bytes: int
    rows: dict[str, int]
    """Of this plan, by table."""
    added: dict[str, int]
    """Of these, how many were new."""
    subjects: int
    """Things on frames that a model found."""
    reviewed: dict[str, int]
    """Reviewed subjects by true class; artifacts by kind."""
    objects: dict[str, int]
    """Different sources among these."""
    truth_path: Path


@dataclass(frozen=True, slots=True)
class SimulatedField:
    """One field, all of it."""

    field: Field
    frames: tuple[Frame, ...]
    rows: dict[str, list[Row]]


@dataclass(slots=True)
class _Tally:
    files: int = 0
    bytes: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    added: Counter[str] = field(default_factory=Counter)
    subjects: int = 0
    reviewed: Counter[str] = field(default_factory=Counter)
    objects: dict[str, set[str]] = field(default_factory=dict)

    def count(self, frames: Sequence[Frame]) -> None:
        for subject in (s for frame in frames for s in frame.subjects):
            source = subject.sighting.source
            self.subjects += bool(subject.detections)
            if subject.reviews:
                name = source.artifact or source.true_class
                self.reviewed[name] += 1
                self.objects.setdefault(name, set()).add(source.name)


def simulate(
    plan: SkyPlan,
    connection: Connection,
    put: Put,
    truth_path: Path,
    progress: Progress | None = None,
) -> SimulationReport:
    """Simulate the survey of `plan` and return what was made.

    The same plan makes the same bytes and rows again, so a second run adds no row. All rows go
    into the connection's transaction; the caller commits. A field's files are stored before its
    rows are inserted.

    Args:
        plan: what to simulate.
        connection: to a migrated database.
        put: stores one file.
        truth_path: gets the truth as JSON lines; keep it out of the pipeline's reach.
        progress: told after each field.

    Raises:
        SurveyNameTakenError: if the plan's survey name belongs to a survey of another origin.
    """
    tally = _Tally()
    reviewers = draw_reviewers(plan)
    truth = reviewer_truth(reviewers)

    def put_counted(key: str, data: bytes) -> str:
        tally.files += 1
        tally.bytes += len(data)
        return put(key, data)

    _insert(connection, survey_rows(plan), tally)
    for index in range(plan.fields):
        made = make_field(plan, index, reviewers, put_counted)
        _insert(connection, made.rows, tally)
        tally.count(made.frames)
        truth.extend(truth_of_field(plan, made.field, made.frames))
        if progress is not None:
            progress(index + 1, plan.fields)
    write_truth(truth_path, truth)
    return SimulationReport(
        survey=plan.survey,
        plan_key=plan.key,
        files=tally.files,
        bytes=tally.bytes,
        rows=dict(tally.rows),
        added=dict(tally.added),
        subjects=tally.subjects,
        reviewed=dict(sorted(tally.reviewed.items())),
        objects={name: len(sources) for name, sources in sorted(tally.objects.items())},
        truth_path=truth_path,
    )


def make_field(
    plan: SkyPlan, index: int, reviewers: tuple[Reviewer, ...], put: Put
) -> SimulatedField:
    """Render field `index`, store its files, and return its truth and its rows."""
    old, epochs = draw_reference(plan, index), draw_epochs(plan, index)
    sky = draw_field(plan, index, epochs)
    artifacts = draw_artifacts(plan, sky, old, epochs)
    layout = plan.instrument
    folder = f"{plan.survey}/{plan.key}/{sky.name}"

    exposures, reference = layout.reference_exposures, render_reference(plan, sky, old)
    old_planes = frame_planes(plan, old, reference, exposures)
    path = put(
        f"raw/{folder}/reference.fits",
        fits_bytes(plan, sky, old, reference, "reference", exposures, old_planes),
    )
    rows = reference_rows(plan, sky, old, path)
    streams = (plan.random(index, Stream.DETECTIONS), plan.random(index, Stream.REVIEWS))
    frames = []
    for epoch, new in enumerate(epochs):
        science = render_science(plan, sky, new, epoch, artifacts)
        planes = frame_planes(plan, new, science)
        difference = subtract(science, reference, new, old, layout.count)
        both = difference_planes(layout, (planes, old_planes), new, old)
        name = f"{folder}/e{epoch:02d}"
        seen = find_sightings(plan, (*sky.real, *artifacts), new, epoch, np.isnan(difference))
        frame = Frame(
            epoch=epoch,
            conditions=new,
            science_path=put(
                f"raw/{name}.science.fits",
                fits_bytes(plan, sky, new, science, "science", planes=planes),
            ),
            difference_path=put(
                f"difference/{name}.difference.fits",
                fits_bytes(plan, sky, new, difference, "difference", planes=both),
            ),
            subjects=tuple(make_subject(plan, reviewers, s, new, streams) for s in seen),
        )
        frames.append(frame)
        for table, more in frame_rows(plan, sky, frame).items():
            rows.setdefault(table, []).extend(more)
    return SimulatedField(sky, tuple(frames), rows)


def _insert(connection: Connection, rows: dict[str, list[Row]], tally: _Tally) -> None:
    tally.added.update(insert_rows(connection, rows))
    tally.rows.update({table: len(of_table) for table, of_table in rows.items()})
