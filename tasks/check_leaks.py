"""Between steps 5 and 6: nothing that judges a model shows what it was trained on."""

from prefect import task
from prefect.logging import get_run_logger

from astrid_training import collection_steps, workers
from astrid_training.faults import fault_point
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.records import BuiltBatch, Leaks, Plan, Selection
from blocks import places
from tasks.caching import step_options

__all__ = ["check_leaks"]


@task(
    **step_options(
        "check_leaks",
        version=1,
        run_name="look for leaks between splits",
        modules=(
            "astrid_training.collection_steps",
            "astrid_training.leaks",
            "astrid_training.division",
            "astrid_training.splits",
            "astrid_training.groups",
            "astrid_training.duplicates",
            "astrid_training.negatives",
        ),
        within_run=True,  # the ledger grows with every dataset
    )
)
def check_leaks(
    selection: Selection, plan: Plan, built: list[BuiltBatch], params: TrainingDataCollectionParams
) -> Leaks:
    """Divide the samples and return what has to be set aside, with the proof that nothing leaks.

    One task run serves the collection, because each sample is held against all others. A worker
    process holds their tables.

    Args:
        selection: what was selected.
        plan: what was planned.
        built: what the batches left.
        params: the collection's parameters.
    """
    fault_point("check_leaks", "before")
    place = places.workplace()
    found = workers.run(collection_steps.check_leaks, place, selection, plan, built, params)
    fault_point("check_leaks", "after")
    get_run_logger().info(
        "%d sky groups; set aside: %s",
        found.proof["groups"],
        ", ".join(f"{name} {count}" for name, count in found.proof["set_aside"].items()) or "none",
    )
    return found
