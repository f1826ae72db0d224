"""The truth as JSON lines, for whoever checks the pipeline; the pipeline never reads it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from astrid_training.simulate.plan import SkyPlan
from astrid_training.simulate.reviewers import Reviewer
from astrid_training.simulate.rows import Frame, detection_id
from astrid_training.simulate.sky import Field

__all__ = ["reviewer_truth", "truth_of_field", "write_truth"]

Line = dict[str, object]


def reviewer_truth(reviewers: tuple[Reviewer, ...]) -> list[Line]:
    """Return one line a reviewer: their true skills."""
    return [{"kind": "reviewer"} | asdict(reviewer) for reviewer in reviewers]


def truth_of_field(plan: SkyPlan, field: Field, frames: Sequence[Frame]) -> Iterator[Line]:
    """Yield one line a detection: what it really is, and where its light lies.

    `x`, `y` and `ends` (x, y, x, y) are 0-based pixels of the science frame; 95 % of the light
    lies within `radius_px` of the segment between the ends. `flux` is science minus reference.
    """
    for frame in frames:
        for subject in frame.subjects:
            s = subject.sighting
            for detection in subject.detections:
                yield {
                    "kind": "detection",
                    "detection_id": str(detection_id(plan, field, subject, detection.version)),
                    "object": f"{plan.key}-{s.source.name}",
                    "field": field.name,
                    "epoch": frame.epoch,
                    "is_real": s.is_real,
                    "true_class": s.source.true_class,
                    "artifact": s.source.artifact or None,
                    "x": round(s.x, 4),
                    "y": round(s.y, 4),
                    "flux": round(s.flux, 4),
                    "snr": round(s.snr, 3),
                    "fwhm_px": round(s.fwhm_px, 4),
                    "radius_px": round(s.radius_px, 4),
                    "ends": [round(end, 4) for end in s.ends],
                }


def write_truth(path: Path, lines: Sequence[Line]) -> None:
    """Write `lines` to `path`, making its folder; what was there is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")
