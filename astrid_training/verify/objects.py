"""Packs against their names, and each stamp and mask against its own digest."""

from collections.abc import Iterator
from functools import partial

import pyarrow as pa

from astrid_training import meter
from astrid_training.digests import digest_bytes
from astrid_training.errors import MissingObjectError, StoreCorruptError
from astrid_training.pack_parts import (
    KINDS,
    Kind,
    Part,
    check_pack,
    split_by_pack,
)
from astrid_training.packs import pack_key, read_pack
from astrid_training.params import PreprocessSpec
from astrid_training.presence import AT_ONCE, objects_of
from astrid_training.records import TrainingDataset
from astrid_training.store import Store
from astrid_training.verify.findings import Finding, Places, gathered

__all__ = ["check_objects", "reordered", "state_of"]

REBUILD = "`astrid-training verify --repair` builds them again from the survey's files"
FIND = "`astrid-training verify --repair` finds them in their packs by their digests"


def check_objects(
    places: Places, dataset: TrainingDataset, samples: pa.Table, where: str, *, read_pixels: bool
) -> Iterator[Finding]:
    """Yield the packs that are missing or damaged, and the samples whose pixels are not theirs.

    Args:
        places: where packs lie.
        dataset: its row.
        samples: its table.
        where: the dataset's name.
        read_pixels: else packs are only looked up.
    """
    spec = PreprocessSpec(**dataset.preprocess_spec)
    keys = sorted(objects_of(samples))
    if not read_pixels:
        with meter.pool(AT_ONCE) as pool:
            found = zip(keys, pool.map(places.store.head, keys), strict=True)
            yield from _lost(where, "missing", [key for key, info in found if info is None])
        return
    parts = _parts(samples)
    check = partial(_check_part, places.store, samples, spec)
    missing, damaged, moved = [], [], []
    with meter.pool(AT_ONCE) as pool:
        rest = [key for key in keys if not key.startswith(KINDS)]
        for key, verdict in zip(
            [*(pack_key(kind, part.digests[0]) for kind, part in parts), *rest],
            [*pool.map(check, parts), *pool.map(partial(state_of, places.store), rest)],
            strict=True,
        ):
            missing += [key] * (verdict == "missing")
            damaged += [key] * (verdict == "damaged")
            moved += verdict if isinstance(verdict, list) else []
    yield from _lost(where, "missing", missing)
    yield from _lost(where, "damaged", damaged)
    yield from gathered("pixels", where, "samples whose pixels are not theirs", moved, FIND)


def _parts(samples: pa.Table) -> list[tuple[Kind, Part]]:
    return [
        (kind, part)
        for kind in KINDS
        for part in split_by_pack(samples, [f"{kind[:-1]}_pack"], f"{kind[:-1]}_row")
    ]


def _lost(where: str, how: str, keys: list[str]) -> Iterator[Finding]:
    for one in gathered("packs", where, f"{how} packs", keys, REBUILD):
        yield Finding(one.kind, where, one.problem, one.cure, frozenset(keys))


def _check_part(
    store: Store, samples: pa.Table, spec: PreprocessSpec, one: tuple[Kind, Part]
) -> str | list[str]:
    """Return `missing`, `damaged`, or the samples of the pack whose pixels have another digest."""
    kind, part = one
    try:
        array = read_pack(store, kind, part.digests[0])
        check_pack(kind, part.digests[0], array, spec, int(part.rows[-1]) + 1)
    except MissingObjectError:
        return "missing"
    except StoreCorruptError:
        return "damaged"
    mine = samples.select(["sample_key", f"{kind[:-1]}_digest"]).take(part.samples)
    keys, digests = (column.to_pylist() for column in mine.columns)
    return [
        f"{key} ({kind})"
        for key, digest, row in zip(keys, digests, part.rows, strict=True)
        if digest_bytes(array[row].data) != digest
    ]


def reordered(store: Store, samples: pa.Table) -> pa.Table:
    """Return the table of samples with the rows in which their pixels lie, found by their digests.

    Those whose pixels are nowhere in their packs keep the row that they have, and so do all of a
    pack that is missing or damaged.

    Args:
        store: where packs lie.
        samples: of a dataset.
    """
    for kind in KINDS:
        name = kind[:-1]
        rows = samples[f"{name}_row"].to_numpy().copy()
        digests = samples[f"{name}_digest"].to_pylist()
        for part in split_by_pack(samples, [f"{name}_pack"], f"{name}_row"):
            try:
                pack = read_pack(store, kind, part.digests[0])
            except (MissingObjectError, StoreCorruptError):
                continue
            place = {digest_bytes(row.data): number for number, row in enumerate(pack)}
            for sample in part.samples:
                rows[sample] = place.get(digests[sample], rows[sample])
        number = samples.column_names.index(f"{name}_row")
        samples = samples.set_column(number, samples.schema.field(number), pa.array(rows))
    return samples


def state_of(store: Store, key: str) -> str:
    """Return `missing`, `damaged` or, for an object with the bytes that its name promises, `whole`."""
    folder, _, name = key.partition("/")
    digest, dot, suffix = name.partition(".")
    try:
        store.get_verified(folder, f"{dot}{suffix}", digest)
    except MissingObjectError:
        return "missing"
    except StoreCorruptError:
        return "damaged"
    return "whole"
