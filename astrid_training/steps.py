"""The steps of a batch as worker processes do them: names and settings come, digests go back."""

from astrid_training.build import build_masks, build_samples, build_stamps
from astrid_training.params import MaskRule
from astrid_training.processors import Recipe
from astrid_training.records import Downloaded, MaskRef, QualityRef, StampsRef
from astrid_training.workplace import Workplace

__all__ = ["cut_stamps", "draw_masks", "score_samples"]


def cut_stamps(place: Workplace, targets: str, downloaded: Downloaded, recipe: Recipe) -> StampsRef:
    """Cut and scale the stamps of a batch; see `build.build_stamps`."""
    processor = recipe.load()
    return build_stamps(place.store(), place.source_cache(), targets, downloaded, processor)


def draw_masks(place: Workplace, stamps: StampsRef, labels: str, rule: MaskRule) -> MaskRef:
    """Draw the masks of a batch; see `build.build_masks`."""
    return build_masks(place.store(), place.packs(), stamps, labels, rule)


def score_samples(place: Workplace, masks: MaskRef) -> QualityRef:
    """Drop what nobody could use; see `build.build_samples`."""
    return build_samples(place.store(), masks)
