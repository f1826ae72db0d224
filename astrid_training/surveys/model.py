"""What each survey's files mean."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "BandReference",
    "Keywords",
    "SurveyProfile",
    "TimeKeyword",
    "ZeroPointRule",
]

ZeroPointRule = Literal["photflam", "pixar_sr", "njy"]


def _as_list(value: Any) -> Any:  # noqa: ANN401 - whatever a YAML file holds; pydantic judges it
    """Return one name as a list of one, and null as an empty list."""
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)


Names = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
Places = Annotated[tuple[int | str, ...], BeforeValidator(_as_list)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Keywords(_Frozen):
    """Header keywords that hold a value; of several, the first that holds a usable one counts."""

    gain: Names = ()
    """Electrons per unit."""
    read_noise: Names = ()
    """Electrons."""
    saturation: Names = ()
    """Units of the image at which a pixel is full."""
    zero_point: Names = ()
    """Magnitude of one unit."""
    exposure: Names = ()
    """Exposure time, in `exposure_unit`."""
    band: Names = ()
    """Name of the filter."""
    time_scale: Names = ()
    """UTC, TAI, TDB and the like."""
    seeing: Names = ()
    """FWHM of the PSF, in `seeing_unit`."""
    pixel_scale: Names = ()
    """Arcseconds per pixel; without one the WCS tells."""
    units: Names = ()
    """Units of the pixels."""


class TimeKeyword(_Frozen):
    """A header keyword that holds a moment of the exposure."""

    keyword: str
    """Name of the keyword."""
    end: str | None = None
    """Keyword of the exposure's end, in the same form; the mean of the two is the middle."""
    moment: Literal["start", "mid"] = "start"
    """What `keyword` names; a start needs `end` or the exposure time to give the middle."""
    form: Literal["mjd", "jd", "date"] = "mjd"
    """Modified Julian days, Julian days, or `YYYY-MM-DDThh:mm:ss`."""
    plus: Names = ()
    """Keywords of a reference epoch, days, that are added to the value."""
    scale: str | None = None
    """Time scale of this keyword, where the header's own does not speak of it."""


class BandReference(_Frozen):
    """What is usual in one band of a survey; None where nobody has measured it."""

    fwhm_px: float | None = None
    """FWHM of the PSF, pixels."""
    log_rms: float | None = None
    """Natural logarithm of the background noise, units."""
    log_rms_spread: float | None = None
    """1.4826 x median absolute deviation of `log_rms` over exposures."""
    depth_5sigma: float | None = None
    """Magnitude."""


class SurveyProfile(_Frozen):
    """How to read the files of one survey and kind."""

    name: str
    hdus: dict[Literal["science", "reference", "difference", "weight", "dq"], Places] = Field(
        default_factory=dict
    )
    """HDU of each role: 0-based number, EXTNAME or `EXTNAME,EXTVER`; of several, the first that
    holds a 2-D image. A role that is absent: the first 2-D image of the file. `weight` and `dq`
    stand beside the image in its file; where they are absent no plane is looked for."""
    dq_missing: Places = ()
    """Which bits of `dq` make a pixel missing: values of bits, such as 4, or keywords of the plane's
    header that hold the number of a bit, such as MP_BAD."""
    keywords: Keywords = Field(default_factory=Keywords)
    """Where the header says what."""
    times: tuple[TimeKeyword, ...] = ()
    """When the exposure was; the first that holds a usable moment counts."""
    time_scale: str | None = None
    """Scale of the times where the header names none."""
    exposure_unit: Literal["s", "d"] = "s"
    """Unit of the exposure time."""
    seeing_unit: Literal["arcsec", "px"] = "arcsec"
    """Unit of the seeing."""
    pixel_scale_arcsec: float = Field(gt=0)
    """The usual scale, for sky distances; a sample's own comes from its file."""
    units: str | None = None
    """Of the pixels, where the header names none."""
    zero_point_rule: ZeroPointRule | None = None
    """How other keywords give the AB zero point, where no keyword holds it."""
    psf_fwhm_px: float = Field(gt=0)
    """FWHM of the PSF, assumed where neither header nor observation tells the seeing."""
    difference_sign: Literal[1, -1] = 1
    """+1: difference files hold science minus reference; -1: reference minus science."""
    difference_sign_keyword: str | None = None
    """Keyword of the difference that holds +1 or -1 and, where it is there, wins."""
    band: str | None = None
    """Canonical band of a survey that has only one."""
    bands: dict[str, str] = Field(default_factory=dict)
    """Canonical name by the survey's own, lower case; that may be the first word of the header's."""
    band_prefix: str | None = None
    """Put before a name that `bands` does not list, to make it canonical."""
    clear_filters: Names = ()
    """How the names of empty filter slots begin, lower case; they are no band."""
    reference_values: dict[str, BandReference] = Field(default_factory=dict)
    """What is usual, by band as in the database."""

    def canonical_band(self, name: str) -> str:
        """Return the canonical name of a band that the survey calls `name`."""
        own = name.casefold()
        known = self.bands.get(own) or self.bands.get(own.split()[0])
        return known or (f"{self.band_prefix}{own}" if self.band_prefix else name)
