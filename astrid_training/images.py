"""Which image of an exposure plays which role for a detection: a frame, or a stamp of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from astrid_training.params import CHANNELS, Channel, SourcePolicy
from astrid_training.surveys.frames import Kind

__all__ = ["Images", "choose_images"]


@dataclass(frozen=True, slots=True)
class Images:
    """The path of each role's image, and what kind of image it is; both None where there is none."""

    paths: Mapping[Channel, str | None]
    kinds: Mapping[Channel, Kind | None]
    policy: SourcePolicy

    @property
    def problem(self) -> tuple[str | None, str]:
        """The reason and the detail why these images make no sample; (None, "") if they do."""
        if not self.paths["science"]:
            if self.policy == "processed":
                return "no_processed", "no completed preprocess run with an image"
            return "no_science", "the observation names no file of its own"
        if not self.paths["difference"]:
            return "no_difference", "no completed difference run with an image"
        return None, ""

    def columns(self) -> dict[str, str | None]:
        """Return `<role>_path` and `<role>_kind` of every role."""
        return {
            f"{role}_{what}": values[role] if self.paths[role] else None
            for role in CHANNELS
            for what, values in (("path", self.paths), ("kind", self.kinds))
        }


def choose_images(exposure: Row[Any], detection: Row[Any], policy: SourcePolicy) -> Images:
    """Return the images that a detection is cut from.

    A detection that brings a stamp file, as an imported alert does, is cut from that alone.

    Args:
        exposure: a row of the query exposure_sources.
        detection: a row of the query reviewed_detections.
        policy: whether processed images are taken before raw ones, alone, or not at all.
    """
    if detection.stamp_path:
        return Images(
            dict.fromkeys(CHANNELS, detection.stamp_path), dict.fromkeys(CHANNELS, "stamp"), policy
        )
    science, science_kind = _frame(exposure.science_processed, exposure.science_raw, policy)
    reference, reference_kind = _frame(exposure.reference_processed, exposure.reference_raw, policy)
    return Images(
        {"science": science, "reference": reference, "difference": exposure.difference_path},
        {"science": science_kind, "reference": reference_kind, "difference": "raw"},
        policy,
    )


def _frame(processed: str | None, raw: str | None, policy: SourcePolicy) -> tuple[str | None, Kind]:
    if policy == "raw" or (policy == "prefer_processed" and not processed):
        return raw, "raw"
    return processed, "processed"
