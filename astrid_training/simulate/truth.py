"""The truth as JSON lines, for whoever checks the pipeline; the pipeline never reads it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from astrid_training.simulate.fits_files import sky_positions
from astrid_training.simulate.plan import SkyPlan
from astrid_training.simulate.reviewers import Reviewer
from astrid_training.simulate.rows import Frame, detection_id
from astrid_training.simulate.sightings import Sighting
from astrid_training.simulate.sky import Field, Source

__all__ = ["reviewer_truth", "truth_of_field", "write_truth"]

Line = dict[str, object]


def reviewer_truth(reviewers: tuple[Reviewer, ...]) -> list[Line]:
    """Return one line a reviewer: their true skills."""
    return [{"kind": "reviewer"} | asdict(reviewer) for reviewer in reviewers]


def truth_of_field(plan: SkyPlan, field: Field, frames: Sequence[Frame]) -> Iterator[Line]:
    """Yield one line an object that was ever bright enough, and one a detection.

    `x`, `y` and `ends` (x, y, x, y) are 0-based pixels of the science frame, `ra` and `dec`
    those of (x, y); 95 % of the light lies within `radius_px` of the segment between the ends.
    `flux` is science minus reference, `light` that of a clear exposure by epoch.
    """
    seen = {s.sighting.source.name: s.sighting.source for f in frames for s in f.subjects}
    for name in sorted(seen):
        source = seen[name]
        yield _identity(plan, source) | {
            "kind": "object",
            "field": field.name,
            "reference_light": round(source.reference_flux, 4),
            "light": {str(e): round(track.flux, 4) for e, track in source.tracks.items()},
        }
    for frame in frames:
        sightings = [subject.sighting for subject in frame.subjects]
        sky = sky_positions(plan, field, frame.conditions, [(s.x, s.y) for s in sightings])
        for subject, (ra, dec) in zip(frame.subjects, sky, strict=True):
            shared = _identity(plan, subject.sighting.source) | _appearance(subject.sighting)
            for detection in subject.detections:
                yield shared | {
                    "kind": "detection",
                    "detection_id": str(detection_id(plan, field, subject, detection.version)),
                    "ra": ra,
                    "dec": dec,
                }


def _identity(plan: SkyPlan, source: Source) -> Line:
    return {
        "object": f"{plan.key}-{source.name}",
        "is_real": not source.artifact,
        "true_class": source.true_class,
        "artifact": source.artifact or None,
    }


def _appearance(sighting: Sighting) -> Line:
    return {
        "epoch": sighting.epoch,
        "x": round(sighting.x, 4),
        "y": round(sighting.y, 4),
        "flux": round(sighting.flux, 4),
        "snr": round(sighting.snr, 3),
        "fwhm_px": round(sighting.fwhm_px, 4),
        "radius_px": round(sighting.radius_px, 4),
        "ends": [round(end, 4) for end in sighting.ends],
    }


def write_truth(path: Path, lines: Sequence[Line]) -> None:
    """Write `lines` to `path`, making its folder; what was there is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")
