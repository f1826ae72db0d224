"""One alert of a survey, whatever it was packed in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from astrid_training.params import Channel

__all__ = ["Alert", "AlertRefusedError"]


class AlertRefusedError(ValueError):
    """An alert, or a file of alerts, of which nothing can be made.

    Attributes:
        reason: a short code, the same for all that are refused for the same cause.
        detail: the facts, for people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Alert:
    """One detection that a survey announced, with its three cutouts. None where it is not told."""

    survey: str
    alert_id: str
    """The survey's number of the detection, all its digits."""
    object_id: str | None
    """The survey's name of the object, or of the moving object."""
    exposure: str
    """Names the exposure among those of the survey: alerts that share it share an observation."""
    ra_deg: float
    dec_deg: float
    observed: datetime
    """Start of the exposure, UTC."""
    band: str
    """Canonical name."""
    exposure_s: float | None
    x: float | None
    """0-based column of the detection on the survey's frame."""
    y: float | None
    cutout_side: int | None
    """Of the survey's whole cutouts, pixels; None where they have no one size."""
    frame_shape: tuple[int, int] | None
    """(height, width) of the survey's frames, pixels."""
    difference_sign: Literal[1, -1]
    """What the difference cutout is multiplied by to be science minus reference."""
    score: float | None
    """Of the survey's own classifier, 0 to 1."""
    scored_by: str
    """Which classifier, with its version."""
    snr: float | None
    fwhm_px: float | None
    """Of the detection, not of the PSF."""
    elongation: float | None
    """Long over short axis of the detection."""
    seeing_arcsec: float | None
    """FWHM of the PSF."""
    zero_point: float | None
    """Magnitude of one unit of the difference."""
    program_id: int | None
    """Whose data they are: 1 is ZTF's public survey."""
    facts: Mapping[str, object]
    """What else is worth keeping: nearest catalogued sources and the like."""
    cutouts: Mapping[Channel, bytes]
    """A FITS file of each role, gzipped or plain; empty where `triplet` holds them."""
    triplet: Path | None
    """A FITS file with the three as extensions SCIENCE, REFERENCE or TEMPLATE, DIFFERENCE."""
