"""Packs that were lost, built again from the survey's files and the reviews of their time."""

from collections.abc import Sequence
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from astrid_training.build import BUILT
from astrid_training.build_here import BuildPlace, build_here
from astrid_training.database import query
from astrid_training.downloads import SourceCache
from astrid_training.packs import put_table, read_table
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.plan import plan_batches
from astrid_training.processors import Recipe
from astrid_training.records import Selection, TrainingDataset
from astrid_training.selection import select_subjects
from astrid_training.verify.findings import Places

__all__ = ["build_again", "relocated"]

STAMPS = ("image_pack", "flag_pack", "significance_pack")


def build_again(
    places: Places, dataset: TrainingDataset, samples: pa.Table, lost: frozenset[str]
) -> pa.Table:
    """Build the samples that lie in lost packs, and those that lay beside them, once more.

    With those beside them a pack gets its old bytes, and so its old name, wherever its batch is
    made up as it was. Reviews are taken as of the dataset's time.

    Args:
        places: where everything is.
        dataset: that lost packs.
        samples: its table.
        lost: keys of packs that are missing or damaged.

    Returns:
        Where the samples lie now that could be built, with their digests: columns as in `build.BUILT`.

    Raises:
        ParityError: if this installation would prepare pixels in another way.
    """
    params = TrainingDataCollectionParams.model_validate(dataset.collection_params)
    recipe = Recipe.stored(params.processor, dataset.preprocess_spec, dataset.spec_fingerprint)
    recipe.check()
    with places.engine.begin() as connection:
        connection.execute(query("gc_forget"), {"keys": sorted(lost)})  # what is damaged was whole
        wanted = _wanted(connection, dataset, samples, lost)
        table = select_subjects(connection, params, dataset.as_of)
    table = table.filter(pc.is_in(table["sample_key"], pa.array(sorted(wanted), pa.string())))
    digest = put_table(places.store, "selections", table)
    selection = Selection(digest, dataset.as_of, table.num_rows, table["reason"].null_count)
    planned = plan_batches(
        places.engine,
        places.store,
        places.sources,
        selection,
        recipe.fingerprint,
        params.batch_samples,
        verify_checksums=params.verify_checksums,
    )
    sources = SourceCache(places.sources, places.cache / "sources")
    place = BuildPlace(places.engine, places.packs, sources)
    built = [build_here(place, params, recipe, batch) for batch in planned.batches]
    return _tables(places, [one.samples for one in built])


def _wanted(
    connection: Connection, dataset: TrainingDataset, samples: pa.Table, lost: frozenset[str]
) -> set[str]:
    digests = sorted(PurePosixPath(key).stem for key in lost)
    mine = samples.filter(_lies_in(samples, (*STAMPS, "mask_pack"), digests))
    values = {
        "fingerprint": dataset.spec_fingerprint,
        "image_packs": sorted(set(mine["image_pack"].to_pylist())),
    }
    beside = set(connection.execute(query("verify_pack_members"), values).scalars())
    return beside | set(mine["sample_key"].to_pylist())


def _tables(places: Places, digests: Sequence[str]) -> pa.Table:
    tables = [read_table(places.store, "built", digest) for digest in digests]
    return pa.concat_tables([BUILT.empty_table(), *tables]).rename_columns(
        {"pack_row": "image_row"}
    )


def relocated(samples: pa.Table, built: pa.Table, lost: frozenset[str]) -> pa.Table:
    """Return the table of samples with new places for those that lay in lost packs.

    Only a stamp, or a mask, with the digest that the sample has is taken.

    Args:
        samples: of the dataset.
        built: by `build_again`.
        lost: keys of packs that are missing or damaged.
    """
    digests = sorted(PurePosixPath(key).stem for key in lost)
    samples = _taken(samples, built, digests, "image_digest", (*STAMPS, "image_row"))
    return _taken(samples, built, digests, "mask_digest", ("mask_pack", "mask_row"))


def _taken(
    samples: pa.Table,
    built: pa.Table,
    digests: list[str],
    proof: str,
    columns: tuple[str, ...],
) -> pa.Table:
    place = pc.index_in(samples["sample_key"], built["sample_key"].combine_chunks())
    same = pc.equal(built[proof].take(place), samples[proof])
    packs = tuple(name for name in columns if name.endswith("_pack"))
    at = pc.and_(_lies_in(samples, packs, digests), pc.fill_null(same, False))  # noqa: FBT003 - Arrow's own signature
    for name in columns:
        number, field = samples.column_names.index(name), samples.schema.field(name)
        value = pc.if_else(at, built[name].take(place).cast(field.type), samples[name])
        samples = samples.set_column(number, field, value)
    return samples


def _lies_in(samples: pa.Table, columns: Sequence[str], digests: list[str]) -> pa.ChunkedArray:
    """Return whether each sample has one of these packs in one of these columns."""
    lost = pa.array(digests, pa.string())
    found = pc.is_in(samples[columns[0]], lost)
    for name in columns[1:]:
        found = pc.or_(found, pc.is_in(samples[name], lost))
    return found
