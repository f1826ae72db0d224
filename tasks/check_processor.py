"""Step 0: whether this installation still makes the pixels that are known to be right."""

from prefect import task
from prefect.logging import get_run_logger

from astrid_training import golden, workers
from astrid_training.params import PreprocessSpec
from astrid_training.processors import Recipe
from tasks.retrying import RETRIES

__all__ = ["check_processor"]


@task(
    name="check_processor",
    task_run_name="check how pixels are prepared",
    persist_result=False,  # what was right on one machine, or yesterday, says nothing here and now
    **RETRIES,
)
def check_processor(processor: str, spec: PreprocessSpec) -> Recipe:
    """Return the recipe of a collection, after a look at what this installation makes of it.

    One run serves the collection: it costs less than a frame, and what it would find would be wrong
    with every sample. A worker process looks, for workers are what prepares pixels.

    Args:
        processor: `package.module:Class`.
        spec: how pixels are prepared.

    Raises:
        ProcessorError: if the path leads to no processor.
        GoldenVectorError: if pixels come out otherwise than they must.
    """
    recipe = workers.run(golden.check_recipe, processor, spec)
    get_run_logger().info("pixels are prepared by %s as %s", processor, recipe.fingerprint[:12])
    return recipe
