"""AB zero points from the keywords that space telescopes and Rubin give instead of one."""

from math import log10

from astrid_training.surveys.model import ZeroPointRule

__all__ = ["ab_zero_point"]

AB_OF_A_NANOJANSKY = 31.4
AB_OF_A_MEGAJANSKY = -6.10
RATES = ("/s", "s-1", "/sec", "/second", "cps")
"""How the name of a unit per second ends."""


def ab_zero_point(
    rule: ZeroPointRule,
    units: str | None,
    exposure_s: float | None,
    photflam: float | None = None,
    photplam: float | None = None,
    pixar_sr: float | None = None,
) -> float | None:
    """Return the AB magnitude of one unit of the image, or None where the header says too little.

    Args:
        rule: which keywords tell.
        units: of the pixels, as the header names them.
        exposure_s: seconds; needed where the pixels are counts and not a rate.
        photflam: inverse sensitivity, erg/cm2/Angstrom per electron a second.
        photplam: pivot wavelength, Angstrom.
        pixar_sr: area of a pixel, steradian.

    Source:
        photflam: ACS Data Handbook, 5.1.1, ABMAG_ZEROPOINT = -2.5 log10(PHOTFLAM)
        - 5 log10(PHOTPLAM) - 2.408, for electrons a second.
        pixar_sr: JDox, "JWST absolute flux calibration": -6.10 - 2.5 log10(PIXAR_SR), for MJy/sr;
        -6.10 is the AB magnitude of 1 MJy.
        njy: 31.4 is the AB magnitude of 1 nJy (Oke & Gunn 1983: AB = 8.90 - 2.5 log10(f / Jy)).
    """
    unit = (units or "").casefold().replace(" ", "")
    if rule == "njy":
        return AB_OF_A_NANOJANSKY if unit == "njy" else None
    if rule == "pixar_sr":
        if unit != "mjy/sr" or pixar_sr is None:
            return None
        return AB_OF_A_MEGAJANSKY - 2.5 * log10(pixar_sr)
    if photflam is None or photplam is None or not unit.startswith(("electron", "count", "cps")):
        return None
    of_a_rate = -2.5 * log10(photflam) - 5 * log10(photplam) - 2.408
    if unit.endswith(RATES):
        return of_a_rate
    return of_a_rate + 2.5 * log10(exposure_s) if exposure_s else None
