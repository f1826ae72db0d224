"""What the fields of each survey's packets mean: a record becomes an alert."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from astrid_training.alerts.alert import Alert, AlertRefusedError
from astrid_training.alerts.values import (
    Record,
    flag,
    identifier,
    known,
    normalised,
    number,
    text,
    whole,
)
from astrid_training.params import Channel

__all__ = ["parse_alert"]

CUTOUTS: Mapping[Channel, str] = {
    "science": "cutoutscience",
    "reference": "cutouttemplate",
    "difference": "cutoutdifference",
}
ZTF_BANDS = {1: "ztf_g", 2: "ztf_r", 3: "ztf_i"}
ZTF_FACTS = ("distnr", "magnr", "ssdistnr", "ssnamenr", "magpsf", "sigmapsf", "nbad", "diffmaglim")
RUBIN_FACTS = ("psfflux", "psffluxerr", "traillength", "isdipole", "ssobjectid")
NJY_ZERO_POINT = 31.4  # AB magnitude of one nanojansky
FWHM_PER_SIGMA = 2.3548200450309493
UNIX_EPOCH_JD = 2440587.5
LAST_MJD = 100_000.0  # in 2132
LONGEST_S = 86_400.0  # of an exposure
LEAST = 1e-3  # of what cannot be 0: the database keeps three digits after the point
WIDEST_ARCSEC = 900.0


def parse_alert(
    record: Mapping[str, Any], survey: str | None = None, triplet: Path | None = None
) -> Alert:
    """Return the alert that a packet or a row of a table holds.

    Args:
        record: of ZTF's or Rubin's schema, names in camelCase or snake_case; values of the
            triggering detection nested (candidate, diaSource) or beside the others.
        triplet: the FITS file of its cutouts, where the record does not hold them.
        survey: `surveys.name` it goes to; None: ztf or rubin, as the schema tells.

    Raises:
        AlertRefusedError: if it is no alert, or lacks what a sample needs.
    """
    outer = normalised(record)
    rubin, ztf = outer.get("diasource"), outer.get("candidate")
    if isinstance(rubin, Mapping):
        return _rubin(outer | normalised(rubin), survey or "rubin", triplet)
    if "diasourceid" in outer:
        return _rubin(outer, survey or "rubin", triplet)
    if isinstance(ztf, Mapping):
        outer |= normalised(ztf)
    if "candid" in outer and "jd" in outer:
        return _ztf(outer, survey or "ztf", triplet)
    raise AlertRefusedError("not_an_alert", "neither a ZTF candidate nor a Rubin diaSource")


def _ztf(values: Record, survey: str, triplet: Path | None) -> Alert:
    """Return a ZTF alert. Source: ZTF Avro schemas 1.8 to 4.02."""
    alert_id = identifier(values, "candid")
    jd, fid = number(values, "jd"), whole(values, "fid")
    place = [whole(values, name) for name in ("field", "rcid")]
    if jd is None or fid not in ZTF_BANDS or None in place:
        raise AlertRefusedError(
            "no_exposure", f"jd {jd}, field and rcid {place}, fid {fid} name no exposure"
        )
    is_positive = flag(values, "isdiffpos")
    if is_positive is None:
        raise AlertRefusedError(
            "no_difference_sign", "isdiffpos is not told, so the difference may be upside down"
        )
    drb, rb, error = number(values, "drb"), number(values, "rb"), number(values, "sigmapsf")
    x, y = number(values, "xpos"), number(values, "ypos")
    return Alert(
        survey=survey,
        alert_id=alert_id,
        object_id=text(values, "objectid"),
        exposure=f"{jd:.7f}_{place[0]}_{place[1]}_{fid}",
        ra_deg=_angle(values, "ra", 0, 360),
        dec_deg=_angle(values, "dec", -90, 90),
        observed=_from_jd(jd),
        band=ZTF_BANDS[fid],
        exposure_s=_positive(values, "exptime", LONGEST_S),
        x=None if x is None else x - 1,  # packets count pixels from 1
        y=None if y is None else y - 1,
        cutout_side=63,
        frame_shape=(3080, 3072),  # of a readout quadrant
        difference_sign=1 if is_positive else -1,
        score=drb if drb is not None else rb,
        scored_by=_scorer(values, "drb" if drb is not None else "rb"),
        snr=1.0857 / error if error and error > 0 else None,  # 2.5 / ln 10
        fwhm_px=_positive(values, "fwhm"),
        elongation=_positive(values, "elong"),
        seeing_arcsec=None,
        zero_point=number(values, "magzpsci"),
        program_id=whole(values, "programid"),
        facts=_facts(values, ZTF_FACTS),
        cutouts=_cutouts(values),
        triplet=triplet,
    )


def _rubin(values: Record, survey: str, triplet: Path | None) -> Alert:
    """Return a Rubin alert. Source: LSST alert packet schemas 3.0 to 11.1."""
    alert_id = identifier(values, "diasourceid")
    exposure = _rubin_exposure(values)
    mid, band = number(values, "midpointmjdtai", "midpointtai"), text(values, "band", "filtername")
    if mid is None or band is None:
        raise AlertRefusedError("no_exposure", f"mid-exposure {mid}, band {band}")
    exposure_s = _positive(values, "exposuretime", LONGEST_S)
    return Alert(
        survey=survey,
        alert_id=alert_id,
        object_id=text(values, "diaobjectid", "ssobjectid"),
        exposure=exposure,
        ra_deg=_angle(values, "ra", 0, 360),
        dec_deg=_angle(values, "dec", -90, 90),
        observed=_from_tai(mid) - timedelta(seconds=(exposure_s or 0) / 2),
        band=f"lsst_{band}",
        exposure_s=exposure_s,
        x=number(values, "x"),
        y=number(values, "y"),
        cutout_side=None,
        frame_shape=None,
        difference_sign=1,
        score=number(values, "reliability"),
        scored_by=_scorer(values, "reliability"),
        snr=_positive(values, "snr"),
        fwhm_px=None,
        elongation=None,
        seeing_arcsec=_moments_fwhm(values),
        zero_point=NJY_ZERO_POINT,
        program_id=None,
        facts=_facts(values, RUBIN_FACTS),
        cutouts=_cutouts(values),
        triplet=triplet,
    )


def _rubin_exposure(values: Record) -> str:
    visit, detector = values.get("visit"), whole(values, "detector")
    if visit is not None and detector is not None:
        return f"{identifier(values, 'visit')}_{detector}"
    if values.get("ccdvisitid") is not None:  # up to schema 7
        return identifier(values, "ccdvisitid")
    raise AlertRefusedError("no_exposure", f"visit {visit}, detector {detector}")


def _moments_fwhm(values: Record) -> float | None:
    """Return the PSF's FWHM from its adaptive second moments, arcsec."""
    xx, yy = _positive(values, "ixxpsf"), _positive(values, "iyypsf")
    fwhm = FWHM_PER_SIGMA * math.sqrt((xx + yy) / 2) if xx and yy else math.inf
    return fwhm if fwhm <= WIDEST_ARCSEC else None


def _scorer(values: Record, name: str) -> str:
    return f"{name} {text(values, f'{name}version') or 'of unknown version'}"


def _angle(values: Record, name: str, least: float, most: float) -> float:
    value = number(values, name)
    if value is None or not least <= value <= most:
        raise AlertRefusedError("no_position", f"{name} is {values.get(name)!r}")
    return value


def _positive(values: Record, name: str, most: float = math.inf) -> float | None:
    value = number(values, name)
    return value if value is not None and LEAST <= value <= most else None


def _facts(values: Record, names: tuple[str, ...]) -> dict[str, object]:
    return {name: value for name in names if (value := known(values, name)) is not None}


def _cutouts(values: Record) -> dict[Channel, bytes]:
    """Return the packed cutouts that are there: bare bytes, or the stampData of a struct."""
    found: dict[Channel, bytes] = {}
    for role, name in CUTOUTS.items():
        value = values.get(name)
        if isinstance(value, Mapping):
            value = normalised(value).get("stampdata")
        if isinstance(value, bytes | bytearray | memoryview) and len(value):
            found[role] = bytes(value)
    return found


def _from_jd(jd: float) -> datetime:
    seconds = round((jd - UNIX_EPOCH_JD) * 86400, 3)
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError as error:
        raise AlertRefusedError("no_exposure", f"jd {jd} is no date of ours") from error


def _from_tai(mjd_tai: float) -> datetime:
    from astropy.time import Time  # heavy; it knows the leap seconds

    if not 0 <= mjd_tai < LAST_MJD:
        raise AlertRefusedError("no_exposure", f"mid-exposure {mjd_tai} is no date of ours")
    utc = Time(mjd_tai, format="mjd", scale="tai").utc
    return _from_jd(utc.jd1 + utc.jd2)
