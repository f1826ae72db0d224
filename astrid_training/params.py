"""What a person may ask for: the one parameter model behind every way in."""

from typing import Literal, Self

from pydantic import Field, model_validator

from astrid_training.rules import (
    CHANNELS,
    Channel,
    Cone,
    Frozen,
    MaskRule,
    NegativesRule,
    PreprocessSpec,
    SplitPolicy,
    UtcDatetime,
    check_dates,
)

__all__ = [
    "CHANNELS",
    "DEFAULT_PROCESSOR",
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

SourcePolicy = Literal["prefer_processed", "processed", "raw"]

DEFAULT_PROCESSOR = "astrid_training.processor:AstronomicalImageProcessor"

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


class TrainingDataCollectionParams(Frozen):
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
        10_000,
        ge=1,
        le=100_000_000,
        description="Most subjects taken, spread evenly over surveys and classes.",
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
    verify_checksums: bool = Field(
        default=True,
        description="Compare each file with the checksums that it states, for which such a file is "
        "read whole; else no file is, and of large ones only the needed rows are fetched.",
    )
    preprocess: PreprocessSpec = Field(
        default_factory=PreprocessSpec, description="How pixels are prepared."
    )
    processor: str = Field(
        DEFAULT_PROCESSOR,
        max_length=200,
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
        description="Class that prepares the pixels, as package.module:Class. It is imported and run "
        "with the rights of the collection: name only code that you trust.",
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
    workers: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Most processes that cut, mask and score batches side by side; they change no "
        "pixel. None given: one for each core.",
    )
    runner: Literal["threads", "dask"] = Field(
        "threads",
        description="Where batches are built: threads of this machine that feed its processes, or the "
        "workers of a Dask cluster. It changes no pixel.",
    )
    dask_address: str | None = Field(
        None,
        max_length=300,
        pattern=r"^[a-z]+://\S+$",
        description="Scheduler of the cluster, such as tcp://scheduler:8786; none: a cluster of this "
        "machine, for this run.",
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
        check_dates(self.date_range)
        return self
