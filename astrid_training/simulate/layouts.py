"""What an instrument's frames look like: plain values, so another instrument is another entry."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["LAYOUTS", "Layout"]


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
    composition: Literal["separate", "extension"]
    """`separate`: the image is the primary HDU. `extension`: an empty primary HDU with the
    exposure's keywords, then the image as SCI with its WCS and photometry."""


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

LAYOUTS = {layout.name: layout for layout in (ZTF,)}
