"""Where an image's pixels lie on the sky: wcslib alone where that is enough, else astropy's WCS.

astropy's WCS parses a header three times and takes milliseconds. Where a header has a plain
projection and no distortion, the same wcslib is called with the same cards, and gives the same bits.
"""

import copy
import logging
import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrid_training.fits_headers import Keywords
from astrid_training.fits_images import Image
from astrid_training.surveys.headers import number_of

if TYPE_CHECKING:
    from astropy.wcs import Wcsprm

__all__ = ["PlainWcs", "celestial_wcs", "has_lookup_tables", "side_arcsec"]

WCS_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,  # "NAXES was not set" and the like: no lack of memory
    RuntimeError,
    TypeError,
    ValueError,  # wcslib's own among them
)
"""From keywords that make no WCS, or are of the wrong type."""
MOST_ARCSEC_A_PIXEL = 600.0  # a header without a scale means one degree to wcslib
WCS_SIZES = ("WCSAXES", "A_ORDER", "B_ORDER", "AP_ORDER", "BP_ORDER")
MOST_WCS_TERMS = 9  # the SIP convention's; arrays of the square of it are made unasked
CELESTIAL = re.compile(r"(RA---|DEC--)(TAN|SIN|ZEA|STG|ARC)")
POSITIONS = re.compile(
    r"(CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA)[12]|(CD|PC)[12]_[12]|L(ON|AT)POLE"
    r"|RADESYS|RADECSYS|EQUINOX|EPOCH|WCSAXES"
)
"""Keywords that wcslib turns a plain projection's pixels into sky with."""
MORE = re.compile(
    r"(A|B|AP|BP)_.*|(CPDIS|CPERR|CQDIS|CQERR|DP|DQ|D2IM|DET2IM|AXISCORR|PV|PS|WAT).*"
    r"|(CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA)([3-9]|\d\d+)|(CD|PC)(\d{6}|\d+_[3-9]|[3-9]_\d+)"
)
"""Keywords that may say more than that: distortions, further axes, older forms."""
LOOKUP_TABLES = re.compile(r"(CPDIS|D2IMDIS|AXISCORR|D2IM).*")


class PlainWcs:
    """A projection without distortion, with those methods of astropy's WCS that are called here.

    Args:
        wcsprm: of two axes, right ascension and declination in either order.
    """

    has_distortion = False

    def __init__(self, wcsprm: "Wcsprm") -> None:
        self.wcs = wcsprm
        self._order = [wcsprm.lng, wcsprm.lat]

    def __deepcopy__(self, _memo: object) -> "PlainWcs":
        """Return one that another thread may use at the same time."""
        return PlainWcs(copy.deepcopy(self.wcs))

    @property
    def pixel_scale_matrix(self) -> NDArray[np.float64]:
        """(2, 2), degrees a pixel."""
        matrix: NDArray[np.float64] = np.dot(np.diag(self.wcs.get_cdelt()), self.wcs.get_pc())
        return matrix

    def all_pix2world(self, *place: ArrayLike, ra_dec_order: bool = False) -> Any:  # noqa: ANN401
        """Return the sky at pixels; the arguments are those of astropy's WCS."""
        pixels, origin, shape = _pairs(place)
        sky = self.wcs.p2s(pixels, origin)["world"] if len(pixels) else pixels
        return _split(sky[:, self._order] if ra_dec_order else sky, shape)

    def all_world2pix(
        self, *place: ArrayLike, ra_dec_order: bool = False, quiet: bool = True
    ) -> Any:  # noqa: ANN401
        """Return the pixels at places of the sky; the arguments are those of astropy's WCS."""
        del quiet  # there is nothing to iterate
        sky, origin, shape = _pairs(place)
        sky = np.ascontiguousarray(sky[:, self._order]) if ra_dec_order else sky
        pixels = self.wcs.s2p(sky, origin)["pixcrd"] if len(sky) else sky
        return _split(pixels, shape)


def _pairs(
    place: Sequence[ArrayLike],
) -> tuple[NDArray[np.float64], int, tuple[int, ...] | None]:
    """Return (n, 2) of two arrays or one, the origin, and the shape of the two."""
    *axes, origin = place
    if len(axes) == 1:
        return np.asarray(axes[0], np.float64), int(np.asarray(origin)), None
    first, second = np.broadcast_arrays(*(np.asarray(axis, np.float64) for axis in axes))
    pairs = np.stack([first.ravel(), second.ravel()], axis=1)
    return pairs, int(np.asarray(origin)), first.shape


def _split(pairs: NDArray[np.float64], shape: tuple[int, ...] | None) -> Any:  # noqa: ANN401 - as astropy's
    return pairs if shape is None else tuple(pairs[:, i].reshape(shape) for i in range(2))


def celestial_wcs(
    images: Sequence[Image], image: Image, merged: Keywords, log: logging.Logger
) -> Any:  # noqa: ANN401 - astropy has no types
    """Return the sky part of an image's WCS, or None if it has none that works.

    Args:
        images: every HDU of the file, for tables of distortions.
        image: one of them.
        merged: its keywords with those of the primary header beneath.
        log: told why a WCS does not work.
    """
    name = image.opened.path.name
    header = _sky_header(images, image, merged)
    if not str(header.get("CTYPE1", "")).strip():
        return None
    if any((number_of(header, (keyword,)) or 0) > MOST_WCS_TERMS for keyword in WCS_SIZES):
        log.warning("%s: WCS not usable, pixel positions are taken instead: it is too large", name)
        return None
    try:
        wcs = _plain_wcs(header) or _full_wcs(image, is_merged=header is merged)
        if wcs is None:
            return None
        scale = side_arcsec(wcs)
        centre = wcs.all_pix2world([[image.shape[-1] / 2, image.shape[-2] / 2]], 0)
    except WCS_ERRORS as error:
        log.warning("%s: WCS not usable, pixel positions are taken instead: %s", name, error)
        return None
    works = scale is not None and scale < MOST_ARCSEC_A_PIXEL and bool(np.isfinite(centre).all())
    return wcs if works else None


def side_arcsec(wcs: Any) -> float | None:  # noqa: ANN401 - astropy has no types
    """Return the side of a square pixel of the same area, arcseconds; None without a WCS."""
    if wcs is None:
        return None
    matrix = wcs.pixel_scale_matrix  # degrees a pixel
    area = abs(float(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))
    return math.sqrt(area) * 3600 if area > 0 and math.isfinite(area) else None


def has_lookup_tables(header: Keywords) -> bool:
    """Tell whether the WCS may need the data of other HDUs."""
    return any(LOOKUP_TABLES.fullmatch(keyword) for keyword in header.cards())


def _sky_header(images: Sequence[Image], image: Image, merged: Keywords) -> Keywords:
    """Return the keywords whose WCS is the image's: never that of another image in the primary HDU."""
    primary = images[0]
    other_image = primary is not image and len(primary.shape) >= 2 and primary.shape != image.shape
    return image.header if other_image else merged


def _plain_wcs(header: Keywords) -> PlainWcs | None:
    """Return the projection that the keywords describe, None if it is no plain one."""
    kinds = [
        CELESTIAL.fullmatch(str(header.get(name, "")).strip()) for name in ("CTYPE1", "CTYPE2")
    ]
    if None in kinds or {kind[1] for kind in kinds if kind} != {"RA---", "DEC--"}:
        return None
    cards = header.cards()
    meaning = [_meaning(keyword) for keyword in cards]
    if header.get("NAXIS") != 2 or header.get("WCSAXES", 2) != 2 or "more" in meaning:
        return None
    from astropy.wcs import Wcsprm  # heavy; imported only where files are read

    of_positions = [
        card for card, means in zip(cards.values(), meaning, strict=True) if means == "positions"
    ]
    wcsprm = Wcsprm(header="".join(of_positions).encode("ascii"))
    wcsprm.fix()
    wcsprm.set()
    return PlainWcs(wcsprm)


@lru_cache(maxsize=4096)  # files of a survey have the same keywords
def _meaning(keyword: str) -> str:
    """Return `positions`, `more` or nothing: whether a keyword tells a plain WCS, or one that is not."""
    if POSITIONS.fullmatch(keyword):
        return "positions"
    return "more" if MORE.fullmatch(keyword) else ""


def _full_wcs(image: Image, *, is_merged: bool) -> Any:  # noqa: ANN401 - astropy has no types
    """Return astropy's WCS of the celestial axes; None if there are none."""
    from astropy.io import fits
    from astropy.wcs import WCS

    with fits.open(image.opened.stream(), memmap=False) as hdus:
        header = hdus[image.number].header
        if is_merged and image.number:
            header = hdus[0].header.copy(strip=True)
            header.update(hdus[image.number].header)
        wcs = WCS(header, hdus)
        if not wcs.has_celestial:
            return None
        wcs = wcs.celestial
        wcs.wcs.set()
        return wcs
