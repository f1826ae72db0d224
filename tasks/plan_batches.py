"""Between steps 1 and 2: what has to be built at all, and in which units."""

from prefect import task
from prefect.logging import get_run_logger

from astrid_training import collection_steps, workers
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.processors import Recipe
from astrid_training.records import Plan, Selection
from blocks import places
from tasks.caching import step_options

__all__ = ["plan_batches"]


@task(
    **step_options(
        "plan_batches",
        version=1,
        run_name="plan batches of {selection.kept} subjects",
        modules=(
            "astrid_training.collection_steps",
            "astrid_training.plan",
            "astrid_training.batches",
        ),
        within_run=True,  # the catalogue of built stamps grows with every run
    )
)
def plan_batches(
    selection: Selection, recipe: Recipe, params: TrainingDataCollectionParams
) -> Plan:
    """Return the batches of the selection; see `astrid_training.plan.plan_batches`."""
    how = recipe.fingerprint, params
    planned = workers.run(collection_steps.plan_batches, places.workplace(), selection, *how)
    get_run_logger().info(
        "%d batches; %d of %d stamps are built already; %d subjects cannot have one",
        len(planned.batches),
        planned.reused_samples,
        selection.kept,
        len(planned.rejects),
    )
    return planned
