"""What a person may ask of a review queue; light, for every way in imports it."""

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from astrid_training.rules import Frozen, UtcDatetime, check_dates

__all__ = ["ReviewQueueParams"]


class ReviewQueueParams(Frozen):
    """Which detections people should look at next."""

    model_config = ConfigDict(title="Review queue")

    survey_ids: list[str] | None = Field(
        None, min_length=1, description="Names of surveys; none given: all active ones."
    )
    date_range: tuple[UtcDatetime, UtcDatetime] | None = Field(
        None,
        description="Observations from the first time to before the second; naive times are UTC.",
    )
    bands: list[str] | None = Field(
        None, min_length=1, description="Filter bands; none given: all."
    )
    count: int = Field(200, ge=1, le=10_000, description="Items of the queue.")
    audit_share: float = Field(
        0.08, ge=0.05, le=1, description="Share that chance draws; it tells how good labels are."
    )
    rare_below: int = Field(
        30, ge=1, lt=2**31, description="A class of fewer reviewed subjects than this is rare."
    )
    repeat_after_days: float = Field(
        14, ge=0, le=36_500, description="What a queue has shown comes again only after so long."
    )
    salt: str = Field("", max_length=100, description="Another one draws others.")

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        check_dates(self.date_range)
        return self
