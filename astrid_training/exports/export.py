"""A dataset, or some of it, as files for people and programs that know nothing of this package."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from astrid_training.cards.card import write_card
from astrid_training.digests import digest_bytes
from astrid_training.errors import ExportRefusedError
from astrid_training.exports.arrays import array_bytes, write_arrays
from astrid_training.exports.choice import Choice, choose_samples
from astrid_training.exports.fits_files import FitsWriter
from astrid_training.exports.folder import whole_folder, write_manifest
from astrid_training.exports.papers import write_papers
from astrid_training.exports.pixels import StoredPixels
from astrid_training.exports.sky import SkyReader
from astrid_training.formats import check_format
from astrid_training.packs import PackCache
from astrid_training.params import PreprocessSpec
from astrid_training.progress import progress
from astrid_training.records import TrainingDataset
from astrid_training.samples import SPLITS, class_names, read_samples
from astrid_training.stamps import ROLES

__all__ = ["By", "Exported", "Format", "Wanted", "export_dataset"]

Format = Literal["fits", "npy"]
By = Literal["sample", "exposure"]
BLOCK = 2880  # of FITS
HEADER_BYTES, EXPOSURE_BYTES = 3 * BLOCK, 12 * BLOCK
OWN_NAME = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What a key or an observation is called; anything else is no name of a file."""
SPARE = 1.05
ROWS_AT_ONCE = 1024  # as Python objects

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is exported, and as what."""

    format: Format
    by: By = "sample"
    """One FITS file for each sample, or for those of an exposure that share a split."""
    splits: tuple[str, ...] = SPLITS
    with_margin: bool = False
    """Stored stamps whole, not just what a model sees."""
    include_proprietary: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    folder: Path
    samples: int
    files: int
    """Of pixels."""
    bytes: int
    """Of all files."""
    left_out: list[Row]
    """Samples that are not public: sample_key, split, survey, program_id, proprietary_until."""
    wcs: dict[str, int]
    """Samples by where their WCS came from; empty without FITS."""
    why_no_wcs: str
    """Why some have none of a source file: what was said of the first; empty if all have."""


def export_dataset(
    dataset: TrainingDataset,
    packs: PackCache,
    folder: Path,
    wanted: Wanted,
    sky: SkyReader,
    now: datetime,
    *,
    overwrite: bool = False,
    tell: Callable[[str], None] = lambda _line: None,
) -> Exported:
    """Write some samples of a dataset into a folder, whole or not at all.

    Args:
        dataset: must not be revoked; `catalogue.get_dataset` sees to that.
        packs: where pixels and the samples table are.
        folder: becomes the export; nothing is written outside of it.
        wanted: what, and as what.
        sky: tells where stamps lie, for FITS.
        now: when data must be public.
        overwrite: replace an export that lies there.
        tell: is told what will be done, before it is.

    Raises:
        ExportRefusedError: if nothing may be exported, something else is in the folder, or the disk
            is too small.
        MissingObjectError: if the store lacks a pack.
        StoreCorruptError: if an object is not what its name promises, or the format is a later one.
        OSError: if the folder cannot be written.
    """
    check_format(dataset)
    spec = PreprocessSpec(**dataset.preprocess_spec)
    pixels = StoredPixels(packs, spec, with_margin=wanted.with_margin)
    samples = read_samples(packs.store, dataset.samples_key)
    proprietary = wanted.include_proprietary
    choice = choose_samples(samples, wanted.splits, now, include_proprietary=proprietary)
    with whole_folder(folder, overwrite=overwrite) as partial:
        _check_room(partial, _bytes(choice, spec, pixels.side, wanted), choice, tell)
        pixels.verify(choice.samples)
        if wanted.format == "npy":
            table, files = _as_arrays(partial, choice.samples, pixels, spec)
        else:
            writer = FitsWriter(dataset, pixels, sky)
            table, files = _as_fits(partial, choice.samples, writer, wanted.by)
        card, absent = write_card(dataset, samples), len(choice.left_out)
        write_papers(partial, dataset, table, card, wanted.format, wanted.by, absent)
        write_manifest(partial, _told(dataset, wanted, choice, dict(sky.counts)))
        size = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
    counts = {str(origin): number for origin, number in sky.counts.items()}
    return Exported(folder, table.num_rows, files, size, choice.left_out, counts, sky.why)


def _check_room(folder: Path, needed: int, choice: Choice, tell: Callable[[str], None]) -> None:
    free = shutil.disk_usage(folder).free
    tell(
        f"{choice.samples.num_rows} samples, about {needed / 1e6:.0f} MB; "
        f"{free / 1e6:.0f} MB are free in {folder.parent}"
    )
    if needed > free:
        raise ExportRefusedError(
            f"the export takes about {needed / 1e9:.2f} GB, but {folder.parent} has "
            f"{free / 1e9:.2f} GB left; free some, or choose fewer splits"
        )


def _bytes(choice: Choice, spec: PreprocessSpec, side: int, wanted: Wanted) -> int:
    """Return about how much disk an export takes."""
    count, channels = choice.samples.num_rows, len(spec.channels)
    pixels = array_bytes(count, channels, side)
    table = choice.samples.nbytes
    if wanted.format == "npy":
        return int(SPARE * (pixels + table))
    files = count if wanted.by == "sample" else len(_exposures(choice.samples))
    heads = (channels + 3) * (HEADER_BYTES if wanted.by == "sample" else EXPOSURE_BYTES)
    return int(SPARE * (pixels + table + files * heads))


def _exposures(samples: pa.Table) -> set[tuple[str, str]]:
    names = ["split", "observation_id", "science_path"]
    return {_exposure(row) for row in samples.select(names).to_pylist()}


def _as_arrays(
    folder: Path, samples: pa.Table, pixels: StoredPixels, spec: PreprocessSpec
) -> tuple[pa.Table, int]:
    with progress(3, "arrays") as step:
        write_arrays(folder, samples, pixels, len(spec.channels), step)
    index = pa.array(range(samples.num_rows), pa.int64())
    return samples.append_column("index", index), 3


def _as_fits(folder: Path, samples: pa.Table, writer: FitsWriter, by: By) -> tuple[pa.Table, int]:
    """Write the files; return the table with where each sample is, and how many there are."""
    places: dict[str, tuple[str, int]] = {}
    count = samples.num_rows if by == "sample" else len(_exposures(samples))
    with progress(count, "FITS files") as step:
        for name, rows, classes in _groups(samples, by):
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            with path.open("xb") as file:
                one = by == "sample"
                file.write(
                    writer.sample(rows[0], classes[0]) if one else writer.exposure(rows, classes)
                )
            places |= {row["sample_key"]: (name, index) for index, row in enumerate(rows)}
            step()
    keys = samples["sample_key"].to_pylist()
    files = pa.array([places[key][0] for key in keys], pa.string())
    table = samples.append_column("file", files)
    if by == "exposure":
        table = table.append_column("index", pa.array([places[key][1] for key in keys], pa.int64()))
    return table, count


def _groups(samples: pa.Table, by: By) -> Iterator[tuple[str, list[Row], list[str]]]:
    """Yield name, rows and classes of each file; rows that were cut from one file follow each other."""
    whole = samples.append_column("class", pa.array(class_names(samples), pa.string()))
    paths = [f"{role}_path" for role in ROLES]
    first = ["split", "observation_id"] if by == "exposure" else []
    order = pc.sort_indices(whole, [(n, "ascending") for n in (*first, *paths, "sample_key")])
    rows = (
        row
        for start in range(0, len(order), ROWS_AT_ONCE)
        for row in whole.take(order.slice(start, ROWS_AT_ONCE)).to_pylist()
    )
    if by == "sample":
        for row in rows:
            yield _file_name(row["split"], row["sample_key"]), [row], [row["class"]]
        return
    for (split, observation), group in groupby(rows, _exposure):
        some = list(group)
        yield _file_name(split, observation), some, [row["class"] for row in some]


def _exposure(row: Row) -> tuple[str, str]:
    return row["split"], row["observation_id"] or row["science_path"] or ""


def _file_name(split: str, name: str) -> str:
    """Return where a file goes: a place that is in the folder, whatever the table holds.

    Args:
        split: one of `SPLITS`.
        name: a sample's key or an observation's id.
    """
    if not OWN_NAME.fullmatch(name):
        name = digest_bytes(name.encode(errors="surrogatepass"))[:32]
    return f"{split}/{name}.fits"


def _told(
    dataset: TrainingDataset, wanted: Wanted, choice: Choice, wcs: dict[Any, int]
) -> dict[str, Any]:
    """Return what the manifest says: nothing that differs from one writing to the next."""
    return {
        "dataset": dataset.name,
        "dataset_id": str(dataset.id),
        "version_id": dataset.version_id,
        "digests": dataset.digests,
        "spec_fingerprint": dataset.spec_fingerprint,
        "wanted": asdict(wanted),
        "samples": choice.samples.num_rows,
        "left_out": choice.left_out,
        "wcs": wcs,
    }
