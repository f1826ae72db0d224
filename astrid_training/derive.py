"""A dataset of samples that were chosen from another one."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Engine

from astrid_training.assemble import Assembled, check_funnel
from astrid_training.formats import check_format
from astrid_training.packs import PackCache
from astrid_training.params import OVERRIDES, TrainingDataCollectionParams
from astrid_training.publish import Collected, publish
from astrid_training.records import (
    FunnelRow,
    PublishedDataset,
    Reject,
    TrainingDataset,
    TrainingSample,
    count_rejects,
)
from astrid_training.samples import read_samples
from astrid_training.store import Store

__all__ = ["GATE_PARAMETERS", "derive_dataset", "origin_of"]

STEP = "create_dataset"
GATE_PARAMETERS = frozenset({"quality_score_threshold", *OVERRIDES})
"""Parameters that may differ from those of the dataset chosen from; the others say how it was made."""


def origin_of(samples: Sequence[TrainingSample]) -> str:
    """Return the id of the one dataset that the samples are of.

    Raises:
        ValueError: if there is none, or there are several.
    """
    ids = {sample.dataset_id for sample in samples}
    known = sorted(str(one) for one in ids if one is not None)
    if len(ids) != 1 or not known:
        raise ValueError(
            f"{len(samples)} samples of {len(known)} datasets; give samples of one published dataset, "
            "as TrainingDatasetManager.samples returns them, or collect what you want in one dataset"
        )
    return known[0]


def derive_dataset(
    engine: Engine,
    store: Store,
    packs: PackCache,
    origin: TrainingDataset,
    samples: Sequence[TrainingSample],
    fields: Mapping[str, Any],
    created_by: str,
) -> PublishedDataset:
    """Publish some samples of a dataset as a dataset of their own.

    Pixels, masks, labels and splits stay those of the origin. Everything else is done as for a
    collection: packs are verified, the ledger is looked up, the gates are judged on the chosen ones.

    Args:
        engine: of the database.
        store: where the table of samples lies.
        packs: where pixels lie.
        origin: the dataset that the samples are of.
        samples: the chosen ones.
        fields: name, description, and those of `GATE_PARAMETERS` that shall differ.
        created_by: who chose.

    Raises:
        CollectionGateError: if a gate fails.
        StoreCorruptError: if the origin is damaged, or of a later format.
        ValueError: if a sample is not of the origin or is there twice, or a field is of another kind.
    """
    check_format(origin)
    table = read_samples(store, origin.samples_key)
    assembled = _chosen(table, [sample.sample_key for sample in samples], origin)
    run = Collected(
        params=_params(origin, fields),
        as_of=origin.as_of,
        source_digest=origin.digests["source"],
        spec_fingerprint=origin.spec_fingerprint,
        created_by=created_by,
        flow_run_id=origin.flow_run_id or "",
        batch_ids=[],
        derived_from=origin.id,
    )
    return publish(engine, store, packs, assembled, run)


def _params(origin: TrainingDataset, fields: Mapping[str, Any]) -> TrainingDataCollectionParams:
    others = sorted(set(fields) - GATE_PARAMETERS - {"name", "description"})
    if others:
        raise ValueError(
            f"{', '.join(others)} say how samples are made, and these are made already; "
            f"of parameters only {', '.join(sorted(GATE_PARAMETERS))} can be given"
        )
    return TrainingDataCollectionParams.model_validate({**origin.collection_params, **fields})


def _chosen(table: pa.Table, keys: Sequence[str], origin: TrainingDataset) -> Assembled:
    """Return the chosen rows as a collection would have left them, the others as rejects."""
    all_keys = table["sample_key"].to_pylist()
    foreign = sorted(set(keys) - set(all_keys))
    if foreign or len(set(keys)) != len(keys):
        raise ValueError(
            f"{len(keys) - len(set(keys))} samples twice, {len(foreign)} not of dataset {origin.name} "
            f"{origin.version_id} {foreign[:3]}; give each of its samples once at most"
        )
    chosen = set(keys)
    detail = f"of {origin.name} {origin.version_id}"
    rejects = [Reject(key, STEP, "not_chosen", detail) for key in all_keys if key not in chosen]
    check_funnel(all_keys, keys, rejects)
    samples = table.filter(pc.is_in(table["sample_key"], value_set=pa.array(sorted(chosen))))
    samples = samples.drop_columns(["quality_score"]).rename_columns({"image_row": "pack_row"})
    return Assembled(
        samples=samples,
        rejects=rejects,
        funnel=[
            FunnelRow(STEP, "selected", len(all_keys)),
            *count_rejects(rejects),
            FunnelRow("persist_dataset", "kept", len(keys)),
        ],
        detections=dict(zip(all_keys, table["detection_id"].to_pylist(), strict=True)),
        notes=origin.quality_report.get("reviews", {}),
    )
