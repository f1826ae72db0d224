"""What a person may ask for: the one parameter model behind every way in."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "CHANNELS",
    "OVERRIDES",
    "Channel",
    "Cone",
    "MaskRule",
    "NegativesRule",
    "PreprocessSpec",
    "SourcePolicy",
    "SplitPolicy",
    "TrainingDataCollectionParams",
]

Channel = Literal["science", "reference", "difference"]
SourcePolicy = Literal["prefer_processed", "processed", "raw"]
CHANNELS: tuple[Channel, ...] = ("science", "reference", "difference")
"""The order in which a pack stores them."""


OVERRIDES = (
    "allow_sparse_splits",
    "allow_one_class",
    "allow_doubtful_labels",
    "allow_low_coverage",
    "allow_poor_images",
    "allow_science_masks",
    "allow_disagreement",
    "allow_mixed_sources",
)
"""Parameters that let a dataset through a gate whose condition it does not meet."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PreprocessSpec(_Frozen):
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


class MaskRule(_Frozen):
    """How a target's mask is drawn. Sigma is the noise of the smoothed difference."""

    model_config = ConfigDict(title="Masks")

    disk_fwhm: float = Field(1.0, gt=0, description="Radius of the target disk, in PSF FWHM.")
    min_radius_px: float = Field(1.5, gt=0, description="Least radius of the target disk, pixels.")
    peak_fwhm: float = Field(
        0.5, gt=0, description="How far from its position a target's peak may lie, in PSF FWHM."
    )
    lit_sigma: float = Field(3.0, gt=0, description="From where on a pixel is lit, in sigma.")
    lit_share: float = Field(
        0.06, ge=0, le=1, description="Least share of the peak that a footprint's pixels have."
    )
    cap_fwhm: float = Field(
        3.0, gt=0, description="How far a footprint reaches, in PSF FWHM; trails reach farther."
    )
    trail_elongation: float = Field(
        3.0, ge=1, description="Footprints longer than this, and asteroids, have no such limit."
    )
    part_sigma: float = Field(
        5.0, gt=0, description="Other parts of the difference that are as bright are ignored."
    )
    part_px: int = Field(3, ge=1, description="Least size of such a part, pixels.")
    neighbour_fwhm: float = Field(
        1.5, ge=0, description="Radius ignored round a neighbour without a label, in PSF FWHM."
    )
    ring_fwhm: float = Field(
        2.5,
        ge=0,
        description="Without a difference image, what is ignored round the disk, in PSF FWHM.",
    )
    max_missing: float = Field(
        0.25,
        ge=0,
        le=1,
        description="Share of the target's disk that may be missing; with more, it is dropped.",
    )
    saturation_grow_px: int = Field(
        1, ge=0, description="Saturated regions are widened by this, pixels."
    )


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


UtcDatetime = Annotated[datetime, AfterValidator(_aware)]


class NegativesRule(_Frozen):
    """How many negatives stand beside the real ones. Limits only: no real one is left out for them."""

    model_config = ConfigDict(title="Negatives")

    bogus_per_real: float | None = Field(
        1.0, ge=0, description="Most rejected detections per real one; none given: all of them."
    )
    sky_per_real: float = Field(
        0.5, ge=0, description="Most places per real one where nothing was ever detected; 0: none."
    )
    most_sky_share: float = Field(
        0.3, ge=0, le=0.9, description="Most of val and of test that such places may be."
    )
    injected_in_test: bool = Field(
        default=False, description="Let injected sources into val and test."
    )


class Cone(_Frozen):
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


class SplitPolicy(_Frozen):
    """Which share of the sky, or of time, goes to which split. What it says is the hash's salt."""

    model_config = ConfigDict(title="Splits")

    name: str = Field(
        "sky",
        min_length=1,
        max_length=40,
        pattern=r"^[a-z0-9_-]+$",
        description="Name of the policy; another name divides the sky anew.",
    )
    version: int = Field(1, ge=1, description="Another version divides the sky anew.")
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


class TrainingDataCollectionParams(_Frozen):
    """Which validated detections become a training set, and how."""

    name: str = Field(
        "validated-detections",
        min_length=1,
        max_length=200,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]*$",
        description="Name of the dataset; a new version supersedes the active one of this name.",
    )
    description: str | None = Field(
        None, max_length=2000, description="What the dataset is for, in a sentence."
    )
    survey_ids: list[str] | None = Field(
        None,
        min_length=1,
        description="Survey names as in the surveys table; none given: all active surveys.",
    )
    date_range: tuple[UtcDatetime, UtcDatetime] | None = Field(
        None,
        description="Start and end of the observation times, end exclusive, naive times are UTC; "
        "none given: all time.",
    )
    bands: list[str] | None = Field(
        None, min_length=1, description="Filter bands; none given: all."
    )
    cone: Cone | None = Field(
        None,
        description="Circle on the sky that subjects lie in, also as [ra, dec, radius]; none given: "
        "the whole sky.",
    )
    max_seeing_arcsec: float | None = Field(
        None,
        gt=0,
        description="Largest seeing of an observation, arcseconds; one without a seeing leaves too. "
        "None given: any.",
    )
    max_airmass: float | None = Field(
        None,
        ge=1,
        description="Largest airmass of an observation; one without an airmass leaves too. "
        "None given: any.",
    )
    include_proprietary: bool = Field(
        default=False,
        description="Take detections whose program_id is not 1, or whose proprietary_until lies "
        "after as_of; else only public ones.",
    )
    anomaly_types: list[str] | None = Field(
        None,
        min_length=1,
        description="Classes to keep among the real ones (supernova, asteroid, variable_star, agn, "
        "transient_other); rejected detections always stay. None given: all.",
    )
    confidence_threshold: float = Field(
        0.7,
        ge=0.5,
        le=1,
        description="Least confidence of the human label, never the model's score.",
    )
    min_model_score: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Least score of the model; it makes the samples those that the model likes, "
        "which is noted on the dataset. None given: any.",
    )
    quality_score_threshold: float = Field(
        0.8, ge=0, le=1, description="Least quality score of the whole dataset."
    )
    max_samples: int = Field(
        10_000, ge=1, description="Most subjects taken, spread evenly over surveys and classes."
    )
    validation_status: Literal["validated"] = Field(
        "validated", description="Only subjects that people decided, as real or as bogus."
    )
    as_of: UtcDatetime | None = Field(
        None, description="Reviews up to this instant count; none given: the start of the run."
    )
    strict_as_of: bool = Field(
        default=False, description="Drop subjects whose rows changed after as_of; else count them."
    )
    re_review: Literal["doubtful", "random"] = Field(
        "doubtful",
        description="How subjects came to a second review: as doubtful cases, so that one review is "
        "worth its stated confidence; or at random, so that skills learned there hold for all.",
    )
    source_policy: SourcePolicy = Field(
        "prefer_processed",
        description="Which image of an observation is cut: the one that its latest completed "
        "preprocess run left, as inference saw it, else the raw one; only processed ones; only raw "
        "ones.",
    )
    preprocess: PreprocessSpec = Field(
        default_factory=PreprocessSpec, description="How pixels are prepared."
    )
    mask: MaskRule = Field(default_factory=MaskRule, description="How masks are drawn.")
    negatives: NegativesRule = Field(
        default_factory=NegativesRule, description="How many negatives stand beside the real ones."
    )
    split: SplitPolicy = Field(
        default_factory=SplitPolicy, description="How the sky is divided into train, val and test."
    )
    batch_samples: int = Field(
        1024, ge=16, le=2048, description="Most samples one unit of work holds."
    )
    allow_one_class: bool = Field(
        default=False,
        description="Accept a dataset with fewer than 10 real or fewer than 10 rejected detections.",
    )
    allow_sparse_splits: bool = Field(
        default=False,
        description="Accept a dataset with an empty split, or with a split that lacks a class of 30 "
        "sky groups or more.",
    )
    allow_doubtful_labels: bool = Field(
        default=False, description="Accept labels whose mean confidence is below 0.7."
    )
    allow_low_coverage: bool = Field(
        default=False,
        description="Accept that more than half of the subjects are lost for their files or pixels.",
    )
    allow_poor_images: bool = Field(default=False, description="Accept an image quality below 0.5.")
    allow_science_masks: bool = Field(
        default=False,
        description="Take detections without a difference image as well, in any number; their masks "
        "are drawn without footprints and their difference is 0.",
    )
    allow_disagreement: bool = Field(
        default=False,
        description="Accept reviewers who agree hardly more than by chance: Krippendorff's alpha "
        "below 0.2 over 20 or more subjects with several reviewers.",
    )
    allow_mixed_sources: bool = Field(
        default=False,
        description="Accept raw, processed and stamp images side by side although their shares "
        "differ by more than 10 points between real and rejected detections.",
    )
    trigger_training: bool = Field(
        default=True, description="Train on the dataset when it is published."
    )
    training_steps: int = Field(
        200, ge=1, le=1_000_000, description="Optimiser steps of the triggered training."
    )

    @property
    def overrides(self) -> frozenset[str]:
        """Names of the gates' overrides that are set."""
        return frozenset(name for name in OVERRIDES if getattr(self, name))

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if self.date_range is not None and self.date_range[0] >= self.date_range[1]:
            start, end = (moment.isoformat() for moment in self.date_range)
            raise ValueError(
                f"date_range starts at {start} and ends at {end}; give the earlier one first"
            )
        return self
