"""The unit of work: the four steps of one batch, on one worker."""

from time import perf_counter
from typing import Any

from prefect import task
from prefect.transactions import CommitMode, transaction

from astrid_training.params import MaskRule
from astrid_training.processors import Recipe
from astrid_training.records import BatchRef, BuiltBatch, MaskRef, QualityRef, Reject, StampsRef
from tasks.caching import call_checked
from tasks.download_fits import download_fits, files_present
from tasks.make_masks import make_masks, masks_present
from tasks.preprocess import preprocess, stamps_present
from tasks.score_quality import quality_present, score_quality

__all__ = ["build_batch"]


@task(
    name="build_batch",
    task_run_name="build {batch.samples} samples of {batch.exposures} exposures",
    retries=0,  # the steps inside carry the retries
    persist_result=False,  # its steps' results are what a later run needs
)
def build_batch(
    batch: BatchRef,
    recipe: Recipe,
    rule: MaskRule,
    verify_checksums: bool = True,  # noqa: FBT001, FBT002 - Prefect takes what it is called with
) -> BuiltBatch:
    """Run the steps of one batch in order and return where its samples lie.

    Each step's result is written as the step ends, so that a kill redoes only the step it hit.

    Args:
        batch: what to build.
        recipe: how pixels are prepared.
        rule: how masks are drawn.
        verify_checksums: compare files with the sums that they state.
    """
    seconds: dict[str, float] = {}

    def timed(name: str, *call: Any) -> Any:  # noqa: ANN401 - any step's inputs and result
        start = perf_counter()
        result = call_checked(*call)
        seconds[name] = perf_counter() - start
        return result

    rejects: list[Reject] = []
    with transaction(commit_mode=CommitMode.EAGER):
        if batch.built:
            stamps = StampsRef(batch.targets, batch.samples, [])
        else:
            how = batch.targets, recipe.reach, verify_checksums
            files = timed("download_fits", download_fits, files_present, *how)
            stamps = timed("preprocess", preprocess, stamps_present, batch.targets, files, recipe)
            rejects += files.rejects + stamps.rejects
        masks: MaskRef = timed("make_masks", make_masks, masks_present, stamps, batch.labels, rule)
        quality: QualityRef = timed("score_quality", score_quality, quality_present, masks)
    rejects += masks.rejects + quality.rejects
    return BuiltBatch(quality.samples, quality.rows, rejects, seconds)
