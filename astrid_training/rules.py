"""The sets of parameters that belong together: how pixels, masks, negatives and splits are made."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "CHANNELS",
    "Channel",
    "Cone",
    "Frozen",
    "MaskRule",
    "NegativesRule",
    "PreprocessSpec",
    "SplitPolicy",
    "UtcDatetime",
    "check_dates",
]

Channel = Literal["science", "reference", "difference"]
CHANNELS: tuple[Channel, ...] = ("science", "reference", "difference")
"""The order in which a pack stores them."""
MOST_FWHM = 100
"""Of any radius of a mask, in PSF FWHM: more than a stamp holds."""


class Frozen(BaseModel):
    """A set of parameters: unknown fields are refused, and nothing changes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_nul(cls, values: Any) -> Any:  # noqa: ANN401 - what was given, whatever it is
        """Refuse what no text of the database can hold."""
        if _holds_nul(values):
            raise ValueError("a text holds the character NUL; leave it out")
        return values


def _holds_nul(given: object) -> bool:
    waiting = [given]  # no recursion: what was given may be nested to any depth
    while waiting:
        value = waiting.pop()
        if isinstance(value, str) and "\0" in value:
            return True
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
    return False


class PreprocessSpec(Frozen):
    """How a stamp's pixels are made from a frame's. The defaults are what AstrID's U-Net sees."""

    model_config = ConfigDict(title="Preprocessing")

    channels: tuple[Channel, ...] = Field(
        CHANNELS, min_length=1, description="Images stored of each sample, in this order."
    )
    stamp_size: int = Field(
        64, ge=16, le=512, multiple_of=16, description="Side of the stamp the model sees, pixels."
    )
    margin: int = Field(4, ge=0, le=32, description="Pixels kept beyond the stamp on each side.")
    background: Literal["mesh", "median", "none"] = Field(
        "mesh",
        description="Sky subtracted from science and reference, never from a difference: a mesh of "
        "cells, the stamp's median, or nothing.",
    )
    cell_px: int = Field(64, ge=16, le=512, description="Side of a background cell, pixels.")
    cosmic_rays: Literal["off", "lacosmic"] = Field(
        "off", description="Whether cosmic rays are flagged; pixels are never replaced."
    )
    scale: Literal["asinh", "l2", "zscale", "percentile", "none"] = Field(
        "asinh", description="How pixel values become network inputs; none: as they are."
    )
    softening: float = Field(
        3.0, gt=0, description="Noise levels per unit of the asinh scale's linear part."
    )
    clip: float | None = Field(
        10.0, gt=0, description="Scaled values are cut at plus and minus this; none given: not cut."
    )
    missing_above: float = Field(
        1e30, gt=0, description="Values beyond this, and NaN, are missing pixels."
    )
    dtype: Literal["float32"] = Field("float32", description="Type of a stored pixel.")
    orientation: Literal["native"] = Field("native", description="Rows and columns as in the file.")

    @property
    def padded_size(self) -> int:
        """Side of a stored stamp, pixels: the stamp and its margin."""
        return self.stamp_size + 2 * self.margin

    @classmethod
    def identity(cls) -> Self:
        """Return the spec that changes no pixel value."""
        return cls(background="none", scale="none", clip=None)


class MaskRule(Frozen):
    """How a target's mask is drawn. Sigma is the noise of the smoothed difference."""

    model_config = ConfigDict(title="Masks")

    disk_fwhm: float = Field(
        1.0, gt=0, le=MOST_FWHM, description="Radius of the target disk, in PSF FWHM."
    )
    min_radius_px: float = Field(
        1.5, gt=0, le=512, description="Least radius of the target disk, pixels."
    )
    peak_fwhm: float = Field(
        0.5,
        gt=0,
        le=MOST_FWHM,
        description="How far from its position a target's peak may lie, in PSF FWHM.",
    )
    lit_sigma: float = Field(3.0, gt=0, description="From where on a pixel is lit, in sigma.")
    lit_share: float = Field(
        0.06, ge=0, le=1, description="Least share of the peak that a footprint's pixels have."
    )
    cap_fwhm: float = Field(
        3.0,
        gt=0,
        le=MOST_FWHM,
        description="How far a footprint reaches, in PSF FWHM; trails reach farther.",
    )
    trail_elongation: float = Field(
        3.0, ge=1, description="Footprints longer than this, and asteroids, have no such limit."
    )
    part_sigma: float = Field(
        5.0, gt=0, description="Other parts of the difference that are as bright are ignored."
    )
    part_px: int = Field(3, ge=1, le=1_000_000, description="Least size of such a part, pixels.")
    neighbour_fwhm: float = Field(
        1.5,
        ge=0,
        le=MOST_FWHM,
        description="Radius ignored round a neighbour without a label, in PSF FWHM.",
    )
    ring_fwhm: float = Field(
        2.5,
        ge=0,
        le=MOST_FWHM,
        description="Without a difference image, what is ignored round the disk, in PSF FWHM.",
    )
    max_missing: float = Field(
        0.25,
        ge=0,
        le=1,
        description="Share of the target's disk that may be missing; with more, it is dropped.",
    )
    saturation_grow_px: int = Field(
        1, ge=0, le=512, description="Saturated regions are widened by this, pixels."
    )


def _aware(moment: datetime) -> datetime:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not 1 < aware.year < 9999:  # elsewhere a zone or a gap leads out of the calendar
        raise ValueError(f"the year {aware.year} is none of ours; give one from 2 to 9998")
    return aware.astimezone(UTC)


UtcDatetime = Annotated[datetime, AfterValidator(_aware)]


class NegativesRule(Frozen):
    """How many negatives stand beside the real ones. Limits only: no real one is left out for them."""

    model_config = ConfigDict(title="Negatives")

    bogus_per_real: float | None = Field(
        1.0,
        ge=0,
        le=1e6,
        description="Most rejected detections per real one; none given: all of them.",
    )
    sky_per_real: float = Field(
        0.5,
        ge=0,
        le=1e6,
        description="Most places per real one where nothing was ever detected; 0: none.",
    )
    most_sky_share: float = Field(
        0.3, ge=0, le=0.9, description="Most of val and of test that such places may be."
    )
    injected_in_test: bool = Field(
        default=False, description="Let injected sources into val and test."
    )


class Cone(Frozen):
    """A circle on the sky."""

    model_config = ConfigDict(title="Cone")

    ra_deg: float = Field(ge=0, lt=360, description="Right ascension of the centre, degrees.")
    dec_deg: float = Field(ge=-90, le=90, description="Declination of the centre, degrees.")
    radius_deg: float = Field(gt=0, le=180, description="Radius, degrees.")

    @model_validator(mode="before")
    @classmethod
    def _three_numbers(cls, value: object) -> object:
        if isinstance(value, list | tuple) and len(value) == 3:
            return dict(zip(("ra_deg", "dec_deg", "radius_deg"), value, strict=True))
        return value


class SplitPolicy(Frozen):
    """Which share of the sky, or of time, goes to which split. What it says is the hash's salt."""

    model_config = ConfigDict(title="Splits")

    name: str = Field(
        "sky",
        min_length=1,
        max_length=40,
        pattern=r"^[a-z0-9_-]+$",
        description="Name of the policy; another name divides the sky anew.",
    )
    version: int = Field(1, ge=1, lt=2**31, description="Another version divides the sky anew.")
    strategy: Literal["group", "time"] = Field(
        "group",
        description="group: each place on the sky is hashed into a split; time: earlier exposures "
        "train, later ones test, and what was seen before is left out of the later splits.",
    )
    train: float = Field(0.8, gt=0, lt=1, description="Share of the sky groups to train on.")
    val: float = Field(0.1, gt=0, lt=1, description="Share to choose models by.")
    test: float = Field(
        0.1, gt=0, lt=1, description="Share to judge the chosen model by; the three sum to 1."
    )
    val_from: UtcDatetime | None = Field(
        None, description="For strategy time: exposures from here on validate."
    )
    test_from: UtcDatetime | None = Field(
        None, description="For strategy time: exposures from here on test."
    )
    gap_nights: float = Field(
        1, ge=1, le=3650, description="For strategy time: days left out before val and before test."
    )
    by_night: bool = Field(
        default=False,
        description="Join also what one night saw over one reference image into one group.",
    )

    @property
    def salt(self) -> str:
        """The text that, with a group's key, decides its split, and names the policy's ledger."""
        parts = [f"{self.name}-v{self.version}"]
        if self.by_night:
            parts.append("night")
        if self.val_from is not None and self.test_from is not None:
            parts += [f"{moment:%Y%m%dT%H%M%S}" for moment in (self.val_from, self.test_from)]
            parts.append(f"{self.gap_nights:g}")
        elif (self.train, self.val, self.test) != (0.8, 0.1, 0.1):
            parts += [f"{share:g}" for share in (self.train, self.val, self.test)]
        return "-".join(parts)

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + val + test = {total:g}; make them sum to 1")
        return self

    @model_validator(mode="after")
    def _times_in_order(self) -> Self:
        times = self.val_from, self.test_from
        if self.strategy == "group":
            if times != (None, None):
                raise ValueError(
                    "val_from and test_from are for strategy time; set that, or leave them out"
                )
            return self
        if self.val_from is None or self.test_from is None:
            raise ValueError("strategy time needs val_from and test_from; give both")
        if self.val_from + timedelta(days=self.gap_nights) >= self.test_from:
            raise ValueError(
                f"val_from {self.val_from.isoformat()} leaves no time to validate before test_from "
                f"{self.test_from.isoformat()}; put more than gap_nights between them"
            )
        return self


def check_dates(date_range: tuple[datetime, datetime] | None) -> None:
    """Return if the first time is before the second.

    Raises:
        ValueError: if it is not.
    """
    if date_range is not None and date_range[0] >= date_range[1]:
        start, end = (moment.isoformat() for moment in date_range)
        raise ValueError(
            f"date_range starts at {start} and ends at {end}; give the earlier one first"
        )
