"""Where the pixels of a stamp lie on the sky: by the WCS of the file it was cut from, or nearly."""

import copy
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrid_training.errors import FitsRefusedError, MissingObjectError, UnusablePathError
from astrid_training.exports.fits_writer import CARD, card_text
from astrid_training.positions import REFINED
from astrid_training.processor import ExposureFrames, same_grid
from astrid_training.records import SourceFile
from astrid_training.source_cache import SourceCache
from astrid_training.sources import Sources
from astrid_training.stamps import ROLES, centre_pixel
from astrid_training.surveys import Frame, profile_for, read_frame
from astrid_training.surveys.wcs import PlainWcs

__all__ = ["Origin", "SkyReader", "StampSky", "primary_role"]

Origin = Literal["source", "linear", "none"]
Row = Mapping[str, Any]

SAME_PX = 0.01
"""A source file is taken for the one that was cut if it puts the target so near to where it was cut."""
JACOBIAN = ("px_x_east", "px_x_north", "px_y_east", "px_y_north")
KEYWORDS = re.compile(
    r"WCSAXES|(CTYPE|CUNIT|CRVAL|CRPIX|CDELT)[12]|(CD|PC|PV)[12]_\d+|L(ON|AT)POLE|RADESYS|EQUINOX"
    r"|(A|B|AP|BP)_(ORDER|\d_\d)"
)
GONE = (FitsRefusedError, MissingObjectError, UnusablePathError, OSError, ValueError)
"""What keeps a source file from being read; ValueError: it changed since it was looked up."""


@dataclass(frozen=True, slots=True)
class StampSky:
    """The sky of one stamp, in pixels of the stamp without its margin."""

    origin: Origin
    """source: the file's own WCS; linear: a tangent plane from the samples table; none: not known."""
    x: float | None
    """0-based column of the target's right ascension and declination; None where not known."""
    y: float | None
    error_px: float | None
    """How far (x, y) may be off; 0 by the file's own WCS, None where not known."""
    matrix: NDArray[np.float64] | None
    """(2, 2) degrees a pixel at the target, rows east and north, columns x and y."""
    headers: dict[str, str] = field(default_factory=dict)
    """By role: the cards of its WCS; a role without them is not placed."""


class SkyReader:
    """Tells the sky of stamps.

    Args:
        sources: where the survey's files lie; None: no file is read, every WCS is linear.
        cache: the same files on this machine.
    """

    def __init__(self, sources: Sources | None = None, cache: SourceCache | None = None) -> None:
        self._sources, self._cache = sources, cache
        self._last: tuple[object, ExposureFrames | None] = (None, None)
        self.counts: Counter[Origin] = Counter()
        """Stamps told of, by where their WCS came from."""
        self.why = ""
        """Why a source file could not tell: what was said of the first."""

    def of(self, row: Row, size: int, margin: int = 0) -> StampSky:
        """Return the sky of a sample's stamp.

        Args:
            row: of the samples table; those of one exposure one after the other are read once.
            size: side of the stored stamp, pixels.
            margin: pixels that are cut off it on each side.
        """
        sky = self._from_source(row, size, margin) or _linear(row, margin)
        self.counts[sky.origin] += 1
        return sky

    def _from_source(self, row: Row, size: int, margin: int) -> StampSky | None:
        """Return the sky by the files themselves; None if they are not those that were cut."""
        frames = self._frames(row)
        corner = _corner(row)
        if frames is None or frames.primary.wcs is None or corner is None:
            return None
        place = [[row["ra_deg"], row["dec_deg"]]]
        at: NDArray[np.float64] = frames.primary.wcs.all_world2pix(
            place, 0, ra_dec_order=True, quiet=True
        )[0]
        centre = centre_pixel(np.asarray(at))
        if not _is_same(row, at, centre - size // 2 - corner):
            path = row[f"{primary_role(row)}_path"]
            self.why = self.why or f"{path} is not the file that was cut"
            return None
        x, y = (at - corner - margin).tolist()
        headers = _headers(frames, centre, size // 2 - margin, _tangent(row, x, y))
        return StampSky("source", x, y, 0.0, _matrix(row), headers)

    def _frames(self, row: Row) -> ExposureFrames | None:
        key = _paths(row)
        if self._last[0] != key:
            self._last = (key, self._read_frames(row))
        return self._last[1]

    def _read_frames(self, row: Row) -> ExposureFrames | None:
        if self._sources is None or self._cache is None:
            return None
        try:
            science, reference, difference = (self._frame(row, role) for role in ROLES)
        except GONE as error:
            self.why = self.why or str(error)
            return None
        return None if science is None else ExposureFrames(science, reference, difference)

    def _frame(self, row: Row, role: str) -> Frame | None:
        path, kind = row[f"{role}_path"], row.get(f"{role}_kind") or "raw"
        if not path or self._sources is None or self._cache is None:
            return None
        found = self._sources.head(path)
        if found is None:
            raise MissingObjectError(f"no file {path}; restore it there")
        file = SourceFile(path, found.etag, found.size)
        file = self._cache.begin(file, verify_checksums=False)  # of a large one the headers alone
        return read_frame(self._cache.path(file), profile_for(row["survey"], kind), role, kind)  # type: ignore[arg-type]  # one of ROLES


def primary_role(row: Row) -> str:
    """Return the role of the image that positions, mask and flags refer to."""
    return "difference" if row["difference_path"] else "science"


def _paths(row: Row) -> tuple[str | None, ...]:
    return tuple(row[f"{role}_path"] for role in ROLES)


def _corner(row: Row) -> NDArray[np.intp] | None:
    """Return the frame's 0-based column and row of the stored stamp's first pixel."""
    if row.get("frame_x") is None or row.get("frame_y") is None:
        return None
    return np.rint([row["frame_x"] - row["x"], row["frame_y"] - row["y"]]).astype(np.intp)


def _is_same(row: Row, at: NDArray[np.float64], beside: NDArray[np.intp]) -> bool:
    """Tell whether a WCS puts the target and the stamp where they were when it was cut."""
    moved = math.hypot(row["frame_x"] - at[0], row["frame_y"] - at[1])
    return not beside.any() and abs(moved - (_shift(row) or 0.0)) <= SAME_PX


def _shift(row: Row) -> float | None:
    """Return how far the stored position lies from the sky's, pixels; None if it is the sky's own."""
    refined = REFINED in (row.get("position_flags") or "").split(",")
    return float(row["centroid_shift_px"]) if refined else None


def _matrix(row: Row) -> NDArray[np.float64] | None:
    steps = [row.get(name) for name in JACOBIAN]
    if any(step is None for step in steps):
        return None
    pixels_per_arcsec = np.array(steps, np.float64).reshape(2, 2)
    if abs(np.linalg.det(pixels_per_arcsec)) == 0:
        return None
    inverse: NDArray[np.float64] = np.linalg.inv(pixels_per_arcsec) / 3600
    return inverse


def _linear(row: Row, margin: int) -> StampSky:
    """Return the sky from what the samples table holds: the directions at the target."""
    x, y = row["x"] - margin, row["y"] - margin
    cards = _tangent(row, x, y)
    if not cards:
        return StampSky("none", None, None, None, None)
    shift = _shift(row) or 0.0
    return StampSky("linear", x, y, shift, _matrix(row), {primary_role(row): cards})


def _tangent(row: Row, x: float, y: float) -> str:
    """Return the plane that touches the sky at the target, which lies at 0-based (x, y)."""
    matrix = _matrix(row)
    if matrix is None:
        return ""
    cards: list[tuple[str, object]] = [
        ("WCSAXES", 2),
        ("CTYPE1", "RA---TAN"),
        ("CTYPE2", "DEC--TAN"),
        ("CUNIT1", "deg"),
        ("CUNIT2", "deg"),
        ("CRVAL1", row["ra_deg"]),
        ("CRVAL2", row["dec_deg"]),
        ("CRPIX1", x + 1),
        ("CRPIX2", y + 1),
        *((f"CD{i + 1}_{j + 1}", float(matrix[i, j])) for i in (0, 1) for j in (0, 1)),
        ("RADESYS", "ICRS"),
    ]
    return "".join(card_text(*card) for card in cards)


def _headers(
    frames: ExposureFrames, centre: NDArray[np.intp], half: int, tangent: str
) -> dict[str, str]:
    """Return each image's own WCS, moved to its stamp; of one that no header holds, the plane."""
    column, row = centre[:1], centre[1:]
    headers: dict[str, str] = {}
    moved: dict[tuple[object, ...], str | None] = {}
    for role in ROLES:
        frame = frames.role(role)
        if frame is None or frame.wcs is None:
            continue
        corner = np.concatenate(frames.centres(role, column, row)) - half
        primary = frames.primary
        shared = frame is primary or same_grid(frame, primary)
        key = ("primary" if shared else role, *corner.tolist())
        if key not in moved:
            moved[key] = _moved(primary.wcs if shared else frame.wcs, corner)
        cards = moved[key]
        if cards is None and shared:
            cards = tangent
        if cards:
            headers[role] = cards
    return headers


def _moved(wcs: Any, corner: NDArray[np.intp]) -> str | None:  # noqa: ANN401 - astropy has no types
    """Return the cards of a WCS whose pixel (0, 0) is the corner; None if tables belong to it."""
    if isinstance(wcs, PlainWcs):
        plain = copy.deepcopy(wcs.wcs)
        plain.crpix = np.asarray(plain.crpix) - corner
        plain.set()
        text: str = plain.to_header(relax=True)
    else:
        if any((wcs.cpdis1, wcs.cpdis2, wcs.det2im1, wcs.det2im2)):
            return None
        full = wcs.deepcopy()
        full.wcs.crpix = np.asarray(full.wcs.crpix) - corner
        text = full.to_header(relax=True).tostring(endcard=False, padding=False)
    cards = (text[at : at + CARD] for at in range(0, len(text), CARD))
    return "".join(card for card in cards if KEYWORDS.fullmatch(card[:8].rstrip()))
