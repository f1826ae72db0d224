"""What each survey's files mean, from profiles.yaml."""

from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from astrid_training.surveys.frames import Kind

__all__ = ["BandReference", "Keywords", "SurveyProfile", "profile_for"]

GENERIC = "generic"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Keywords(_Frozen):
    """Header keywords that hold a value; of several, the first that is there counts."""

    gain: tuple[str, ...] = ()
    """Electrons per unit."""
    read_noise: tuple[str, ...] = ()
    """Electrons."""
    saturation: tuple[str, ...] = ()
    """Units of the image."""
    zero_point: tuple[str, ...] = ()
    """Magnitude of one unit."""
    exposure: tuple[str, ...] = ()
    """Seconds."""
    band: tuple[str, ...] = ()
    mjd: tuple[str, ...] = ()
    """Modified Julian date of the moment that `SurveyProfile.mjd_is` names."""
    time_scale: tuple[str, ...] = ()
    seeing: tuple[str, ...] = ()
    """FWHM of the PSF, in `SurveyProfile.seeing_unit`."""
    pixel_scale: tuple[str, ...] = ()
    """Arcseconds per pixel."""
    units: tuple[str, ...] = ()


class BandReference(_Frozen):
    """What is usual in one band of a survey; None where nobody has measured it."""

    fwhm_px: float | None = None
    log_rms: float | None = None
    """Natural logarithm of the background noise, units."""
    log_rms_spread: float | None = None
    """1.4826 x median absolute deviation of `log_rms` over exposures."""
    depth_5sigma: float | None = None
    """Magnitude."""


class SurveyProfile(_Frozen):
    """How to read the files of one survey."""

    name: str
    hdus: dict[Literal["science", "reference", "difference"], int | str | list[str] | None] = Field(
        default_factory=dict
    )
    """HDU of each role, 0-based number or EXTNAME; absent: the first 2-D image of the file."""
    keywords: Keywords
    mjd_is: Literal["start", "mid"]
    """Which moment of the exposure `Keywords.mjd` gives."""
    time_scale: str | None
    """Scale of the times where the header names none."""
    seeing_unit: Literal["arcsec", "px"]
    pixel_scale_arcsec: float
    """The usual scale, for sky distances; a sample's own comes from its file."""
    units: str | None
    """Of the pixels, where the header names none."""
    psf_fwhm_px: float
    """Assumed where neither header nor observation tells the seeing."""
    difference_sign: Literal[1, -1]
    """+1: difference files hold science minus reference."""
    difference_sign_keyword: str | None = None
    """Header keyword whose +1 or -1 goes before `difference_sign`."""
    bands: dict[str, str] = Field(default_factory=dict)
    """Canonical name by the survey's own, casefolded."""
    kinds: dict[Kind, dict[str, Any]] = Field(default_factory=dict, exclude=True)
    reference_values: dict[str, BandReference] = Field(default_factory=dict)
    """By band as in the database."""


@cache
def profile_for(survey: str, kind: Kind = "raw") -> SurveyProfile:
    """Return how files of a kind are read of a survey (any case), `generic` where it has no profile.

    What the profile says under `kinds` of this kind replaces what it says of its files in general.
    """
    known = _profiles()
    values = known.get(survey.strip().casefold(), known[GENERIC])
    return SurveyProfile(**values | values.get("kinds", {}).get(kind, {}))


@cache
def _profiles() -> dict[str, dict[str, Any]]:
    text = files(__package__).joinpath("profiles.yaml").read_text(encoding="utf-8")
    return {name: {"name": name, **values} for name, values in yaml.safe_load(text).items()}
