"""What an instrument's frames look like: plain values, so another instrument is another entry."""

from dataclasses import MISSING, dataclass, fields
from math import log10, pi
from typing import Literal

__all__ = ["LAYOUTS", "Layout"]

AB_ZERO_MJY = 3631e-6
"""Flux of magnitude 0, MJy."""
ARCSEC2_A_STERADIAN = (180 * 3600 / pi) ** 2


@dataclass(frozen=True, slots=True)
class Layout:
    """The detector, optics, photometry and file form of one survey."""

    name: str
    telescope: str
    pixel_scale_arcsec: float
    bands: tuple[str, ...]
    """Names as the survey writes them; a field keeps one band."""
    units: str
    zero_point: float
    """AB magnitude of one unit in one clear exposure."""
    gain: float
    """Electrons per unit."""
    read_noise: float
    """Electrons."""
    saturation: float
    """Units at which a pixel is full."""
    sky_level: float
    """Units per pixel on a dark night."""
    exposure_s: float
    reference_exposures: int
    """How many exposures are averaged into a reference."""
    seeing_arcsec: tuple[float, float]
    """Best and worst FWHM of a science frame; a reference has the best."""
    composition: Literal["separate", "hst", "jwst"]
    """`separate`: the image is the primary HDU, missing pixels are NaN. `hst`, `jwst`: an empty
    primary HDU with the exposure's keywords, then SCI, ERR and DQ as those telescopes' pipelines
    write them; HST's SCI holds 0 where pixels are missing, JWST's NaN there and where they are
    full."""
    frame_size: tuple[int, int] = (512, 480)
    """(height, width) of this layout's frames in pixels, where the plan asks for no other."""
    sky: int = 0
    """Layouts of different numbers look at different places."""
    fainter_mag: float = 0.0
    """How much fainter all sources are than those that a 1.2 m telescope sees."""
    motion: float = 1.0
    """Speed of asteroids relative to those near the Earth: a small field and a long exposure see
    distant ones, or they would leave the stamp during the exposure."""
    galaxy_size: float = 1.0
    """Relative size of galaxies in pixels."""
    count: float = 1.0
    """Units a count of raw data, a power of two: charges and rounding are in counts."""
    in_space: bool = False
    """No clouds, no airmass, and a point source that hardly changes its width."""
    artifacts: tuple[str, ...] = (
        "cosmic_ray",
        "dipole",
        "saturation_bleed",
        "hot_pixel",
        "satellite_trail",
    )
    """Kinds that there are; full pixels bleed only where `saturation_bleed` is one."""

    @property
    def has_planes(self) -> bool:
        """Whether a file holds the error and the quality of each pixel."""
        return self.composition != "separate"

    @property
    def blanks_full_pixels(self) -> bool:
        """Whether a full pixel has no value, as a missing one."""
        return self.composition == "jwst"

    @property
    def identity(self) -> dict[str, object]:
        """All fields but those at their default, so that a new field changes no older key."""
        return {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default or field.default is MISSING
        }


ZTF = Layout(
    name="ztf",
    telescope="simulated 1.2 m Schmidt",
    pixel_scale_arcsec=1.01,
    bands=("ztf_r", "ztf_g"),
    units="DN",
    zero_point=26.3,
    gain=6.2,
    read_noise=10.3,
    saturation=50_000.0,
    sky_level=250.0,
    exposure_s=30.0,
    reference_exposures=15,
    seeing_arcsec=(1.9, 3.1),
    composition="separate",
)

# The wide camera of ACS, drizzled: electrons a second, so the exposure time is the gain.
HST = Layout(
    name="hst",
    telescope="HST",
    pixel_scale_arcsec=0.05,
    bands=("F606W", "F814W"),
    units="ELECTRONS/S",
    zero_point=26.2,
    gain=500.0,
    read_noise=4.5,
    saturation=168.0,
    sky_level=0.08,
    exposure_s=500.0,
    reference_exposures=6,
    seeing_arcsec=(0.1, 0.104),
    composition="hst",
    frame_size=(400, 440),
    sky=1,
    fainter_mag=6.6,
    motion=0.01,
    galaxy_size=1.5,
    count=2.0**-9,
    in_space=True,
)

# NIRCam's short channel: surface brightness, so the pixel's area alone sets the zero point.
JWST = Layout(
    name="jwst",
    telescope="JWST",
    pixel_scale_arcsec=0.031,
    bands=("F200W", "F150W"),
    units="MJy/sr",
    zero_point=round(-2.5 * log10(0.031**2 / ARCSEC2_A_STERADIAN / AB_ZERO_MJY), 4),
    gain=288.0,
    read_noise=15.0,
    saturation=1000.0,
    sky_level=0.25,
    exposure_s=300.0,
    reference_exposures=6,
    seeing_arcsec=(0.065, 0.067),
    composition="jwst",
    frame_size=(384, 432),
    sky=2,
    fainter_mag=6.8,
    motion=0.01,
    galaxy_size=2.0,
    count=2.0**-7,
    in_space=True,
    artifacts=("cosmic_ray", "dipole", "hot_pixel"),
)

LAYOUTS = {layout.name: layout for layout in (ZTF, HST, JWST)}
