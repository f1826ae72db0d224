"""Values of FITS headers, parsed with suspicion: what cannot be is not known."""

import math
import re
from datetime import date

from astrid_training.fits_headers import Keywords
from astrid_training.surveys.model import TimeKeyword

__all__ = ["DAY_S", "mid_exposure", "number_of", "positive_of", "text_of"]

SENTINELS = {-99.0, -999.0, -9999.0}
NO_TEXT = {"", "null", "none", "nan"}
DAY_S = 86400.0
JD_OF_MJD_ZERO = 2400000.5
ORDINAL_OF_MJD_ZERO = 678576  # date(1858, 11, 17).toordinal()
DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d(?:\.\d*)?)Z?")


def number_of(header: Keywords, names: tuple[str, ...]) -> float | None:
    """Return the first finite number among the keywords that is no sentinel."""
    for name in names:
        value = header.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            continue
        try:
            number = float(value)
        except (ValueError, OverflowError):
            continue
        if math.isfinite(number) and number not in SENTINELS:
            return number
    return None


def positive_of(header: Keywords, names: tuple[str, ...]) -> float | None:
    """Return the first usable number among the keywords if it is positive."""
    number = number_of(header, names)
    return number if number is not None and number > 0 else None


def text_of(
    header: Keywords, names: tuple[str, ...], no_prefixes: tuple[str, ...] = ()
) -> str | None:
    """Return the first text among the keywords that says something.

    Args:
        header: of the image.
        names: of the keywords.
        no_prefixes: text that begins so, in lower case, says nothing.
    """
    for name in names:
        value = header.get(name)
        if not isinstance(value, str):
            continue
        text = value.strip()
        own = text.casefold()
        if own not in NO_TEXT and not (no_prefixes and own.startswith(no_prefixes)):
            return text
    return None


def mid_exposure(
    header: Keywords, times: tuple[TimeKeyword, ...], exposure_s: float | None
) -> tuple[float | None, str | None]:
    """Return the middle of the exposure, MJD, and its scale where the keyword fixes that.

    A moment without a time of day is a date, and no time.

    Args:
        header: of the image.
        times: keywords in order of trust.
        exposure_s: seconds, to get from a start to the middle.
    """
    for time in times:
        moment = _moment(header, time.keyword, time)
        if moment is None:
            continue
        end = _moment(header, time.end, time) if time.end else None
        if time.moment == "mid":
            return moment, time.scale
        if end is not None and end >= moment:
            return (moment + end) / 2, time.scale
        if exposure_s:
            return moment + exposure_s / 2 / DAY_S, time.scale
    return None, None


def _moment(header: Keywords, keyword: str, time: TimeKeyword) -> float | None:
    """Return what a keyword holds as MJD."""
    if time.form == "date":
        return _mjd_of_date(text_of(header, (keyword,)))
    value = number_of(header, (keyword,))
    references = [number_of(header, (name,)) for name in time.plus]
    if value is None or None in references:
        return None
    whole = sum(reference for reference in references if reference is not None)
    mjd = value + (whole - JD_OF_MJD_ZERO if time.form == "jd" else whole)
    return mjd if mjd > 0 and not mjd.is_integer() else None


def _mjd_of_date(text: str | None) -> float | None:
    match = DATE.fullmatch(text or "")
    if match is None:
        return None
    year, month, day, hour, minute = (int(part) for part in match.groups()[:5])
    try:
        days = date(year, month, day).toordinal() - ORDINAL_OF_MJD_ZERO
    except ValueError:
        return None
    mjd = days + (hour * 3600 + minute * 60 + float(match[6])) / DAY_S
    return mjd if mjd > 0 else None
