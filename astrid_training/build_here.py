"""A batch from its targets to its samples in this process, where no flow hands the steps out."""

from dataclasses import dataclass

from sqlalchemy import Engine

from astrid_training.build import build_masks, build_samples, build_stamps, register_stamps
from astrid_training.downloads import SourceCache, fetch_sources, quarantine
from astrid_training.packs import PackCache, read_table
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.processors import Recipe
from astrid_training.records import BatchRef, BuiltBatch, StampsRef

__all__ = ["BuildPlace", "build_here"]


@dataclass(frozen=True, slots=True)
class BuildPlace:
    """Where a batch is built."""

    engine: Engine
    packs: PackCache
    """Of the store that gets what is built."""
    sources: SourceCache


def build_here(
    place: BuildPlace, params: TrainingDataCollectionParams, recipe: Recipe, batch: BatchRef
) -> BuiltBatch:
    """Do the steps of one batch in their order, as a flow does in its workers.

    Args:
        place: where rows, packs and source files are.
        params: of the collection.
        recipe: how pixels are prepared.
        batch: as planned.
    """
    store = place.packs.store
    stamps, rejects = StampsRef(batch.targets, batch.samples, []), []
    if not batch.built:
        targets, sums = read_table(store, "targets", batch.targets), params.verify_checksums
        files = fetch_sources(place.sources, targets, recipe.reach, verify_checksums=sums)
        stamps = build_stamps(store, place.sources, batch.targets, files, recipe.load())
        with place.engine.begin() as connection:
            quarantine(connection, files, verify_checksums=sums)
            register_stamps(connection, store, batch.targets, stamps, recipe.fingerprint)
        rejects = files.rejects + stamps.rejects
    masks = build_masks(store, place.packs, stamps, batch.labels, params.mask)
    quality = build_samples(store, masks)
    return BuiltBatch(quality.samples, quality.rows, rejects + masks.rejects + quality.rejects, [])
