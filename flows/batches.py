"""The unit of work: the four steps of one batch, on one worker."""

from prefect import task
from prefect.transactions import CommitMode, transaction

from astrid_training.logs import naming
from astrid_training.params import MaskRule
from astrid_training.processors import Recipe
from astrid_training.records import (
    BatchRef,
    BuiltBatch,
    Downloaded,
    MaskRef,
    QualityRef,
    Reject,
    StampsRef,
)
from flows.measuring import MeasuredSteps
from tasks.download_fits import download_fits, files_present
from tasks.logs import keep_flow_log
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
    keep_flow_log()  # on a cluster this process is another one than the flow's
    rejects: list[Reject] = []
    measured = MeasuredSteps()
    with naming(batch=batch.targets[:8]), transaction(commit_mode=CommitMode.EAGER):
        if batch.built:
            stamps = StampsRef(batch.targets, batch.samples, [])
        else:
            how = batch.targets, recipe.reach, verify_checksums
            named = f"download files of {batch.exposures} exposures"
            files: Downloaded = measured(
                download_fits.with_options(task_run_name=named),
                *how,
                entering=batch.samples,
                is_present=files_present,
            )
            to_cut, left = (batch.targets, files, recipe), batch.samples - len(files.rejects)
            stamps = measured(preprocess, *to_cut, entering=left, is_present=stamps_present)
            rejects += files.rejects + stamps.rejects
        to_draw = stamps, batch.labels, rule
        masks: MaskRef = measured(
            make_masks, *to_draw, entering=stamps.rows, is_present=masks_present
        )
        quality: QualityRef = measured(
            score_quality, masks, entering=masks.rows, is_present=quality_present
        )
    rejects += masks.rejects + quality.rejects
    return BuiltBatch(quality.samples, quality.rows, rejects, measured.metrics)
