"""Make a dataset ready on the machine of the API."""

import asyncio
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse

from astrid_training.records import TrainingDataset
from astrid_training.samples import SPLITS
from astrid_training.warming import WarmDataset, warm_dataset
from deployments.api.auth import Authorize, needs
from deployments.api.datasets import READ, DatasetId
from deployments.api.models import LoadedDataset
from deployments.api.problems import ProblemError, documented
from deployments.api.runs import as_json
from deployments.api.service import Service, TooManyLoadsError

__all__ = ["add_load"]

PATIENCE_S = 50.0  # proxies give up after a minute
ASK_AGAIN_S = 15

PROBLEMS = ("dataset-damaged", "dataset-unreadable", "dataset-revoked", "still-loading", "no-room")
Insist = Annotated[bool, Query(description="Load it although it was withdrawn.")]


def add_load(router: APIRouter, service: Service, authorize: Authorize) -> None:
    """Add the endpoint that loads datasets."""

    def find(
        dataset_id: DatasetId,
        *,
        allow_revoked: Insist = False,
    ) -> TrainingDataset:
        return service.manager.get_dataset(dataset_id, allow_revoked=allow_revoked)

    @router.post(
        "/datasets/{dataset_id}/load",
        response_model=LoadedDataset,
        summary="Verify a dataset and make it ready to be trained on",
        dependencies=[needs("read", authorize)],
        responses=documented(*READ, *PROBLEMS),
    )
    async def load_dataset_for_training(
        dataset: Annotated[TrainingDataset, Depends(find)],
    ) -> JSONResponse:
        """Look at each object of the dataset, copy its packs to this machine, say what is there.

        Each object's size and ETag are looked at; its bytes are hashed unless that was done in the
        last 30 days. No training is started. Who asks while the dataset is being loaded waits for
        the same load. One that takes longer than a minute answers 503 with Retry-After and goes on.
        """
        warm = await _loaded(service, dataset)
        return JSONResponse(as_json(_answer(dataset, warm)))


async def _loaded(service: Service, dataset: TrainingDataset) -> WarmDataset:
    """Return the dataset's places once it is loaded.

    Raises:
        ProblemError: if that takes too long, or too many are being loaded.
    """
    settings = service.settings
    job = partial(
        warm_dataset,
        service.engine,
        service.store,
        dataset,
        settings.home / "cache",
        settings.loader_cache_bytes,
    )
    again = {"Retry-After": str(ASK_AGAIN_S)}
    try:
        load = asyncio.wrap_future(service.loads.share(str(dataset.id), job))
        return await asyncio.wait_for(asyncio.shield(load), PATIENCE_S)
    except TooManyLoadsError as error:
        raise ProblemError("unavailable", f"{error}; ask again later", headers=again) from None
    except TimeoutError:
        raise ProblemError(
            "still-loading", "ask again: the same load goes on", headers=again
        ) from None


def _answer(dataset: TrainingDataset, warm: WarmDataset) -> LoadedDataset:
    return LoadedDataset.model_validate(
        {
            "dataset_id": dataset.id,
            "name": dataset.name,
            "version_id": dataset.version_id,
            "status": dataset.status,
            "splits": {split: dataset.splits.get(split, 0) for split in SPLITS},
            "spec_fingerprint": dataset.spec_fingerprint,
            "digests": dataset.digests,
            "objects_verified": warm.objects,
            "in_place": warm.in_place,
            "paths": {"images": list(map(str, warm.images)), "masks": list(map(str, warm.masks))},
        }
    )
