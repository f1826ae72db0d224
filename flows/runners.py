"""Where batches are built: on this machine's threads, or on the workers of a Dask cluster."""

from typing import Any

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from astrid_training import workers
from astrid_training.errors import CollectionRefusedError
from astrid_training.params import TrainingDataCollectionParams

__all__ = ["batch_runner"]

BATCHES_AT_ONCE = workers.cores() + 1  # while all cores compute, the files of one more come


def batch_runner(params: TrainingDataCollectionParams) -> TaskRunner[Any]:
    """Return what runs the batches of a collection; entered, it is ready for them.

    A worker of a cluster takes one batch at a time and does all its steps, so that the batch's files
    are fetched once. It needs this package in the same version, and the blocks of the same server.

    Raises:
        CollectionRefusedError: if Dask is not installed.
    """
    if params.runner == "threads":
        # threads only wait, on the store and on worker processes; those bound what is done at once
        return ThreadPoolTaskRunner(max_workers=BATCHES_AT_ONCE)
    try:
        import dask.config  # an extra
        from prefect_dask.task_runners import DaskTaskRunner
    except ModuleNotFoundError as error:
        raise CollectionRefusedError(
            "runner=dask needs Dask; install it with `pip install 'astrid-training[dask]'`"
        ) from error
    if params.dask_address is not None:
        return DaskTaskRunner(address=params.dask_address)
    # Dask's profiler can stop a worker for good on Python 3.11: python/cpython#106883
    dask.config.set({"distributed.worker.profile.enabled": False})
    here = {
        "n_workers": params.workers or workers.cores(),
        "threads_per_worker": 1,
        "host": "127.0.0.1",
        "dashboard_address": None,  # nobody asked for an open port
    }
    return DaskTaskRunner(cluster_kwargs=here)
