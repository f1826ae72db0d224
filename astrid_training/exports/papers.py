"""What lies beside the pixels of an export: its samples, how to read them, what they are."""

from hashlib import file_digest
from pathlib import Path

import pyarrow as pa

from astrid_training.cards.croissant import ListedFile, ListedFiles, croissant_document
from astrid_training.cards.stored import CARD, CROISSANT, as_json
from astrid_training.exports.arrays import ARRAYS
from astrid_training.exports.cards import FLAG_LINES
from astrid_training.packs import table_bytes
from astrid_training.records import TrainingDataset
from astrid_training.samples import SPLITS

__all__ = ["TABLE", "write_papers"]

TABLE = "samples.parquet"
NAMES_PEOPLE = "votes"
"""A column that does not leave the house: it names reviewers."""
NPY, FITS = "application/x-npy", "image/fits"

_ARRAYS = """# How to read this export

```python
import numpy as np

images = np.load("images.npy", mmap_mode="r")
splits, labels = np.load("splits.npy"), np.load("labels.npy")
train = images[splits == "train"]
```

| file | holds |
| --- | --- |
{files}
| `{table}` | one row a sample, in the same order; column `index` is the row in the arrays |

"""
_SAMPLE = """# How to read this export

One FITS file a sample, `<split>/<sample_key>.fits`; column `file` of `{table}` names it.

```python
from astropy.io import fits
from astropy.wcs import WCS

with fits.open("train/0123456789abcdef0123456789abcdef.fits") as hdus:
    label, science = hdus[0].header["LABEL"], hdus["SCIENCE"].data
    sky = WCS(hdus["DIFFERENCE"].header)
```

"""
_EXPOSURE = """# How to read this export

One FITS file for the samples of an exposure that share a split, `<split>/<observation>.fits`: a cube an image, and a table
`SAMPLES` whose row n tells of slice n (counted from 0). Columns `file` and `index` of `{table}` name file and slice. The columns
crval1 to cd2_2 are a plane that touches the sky at each target.

```python
from astropy.io import fits
from astropy.table import Table

with fits.open("train/01234567-89ab-cdef-0123-456789abcdef.fits") as hdus:
    samples, difference = Table(hdus["SAMPLES"].data), hdus["DIFFERENCE"].data
```

"""
_FITS = """HDUs: the channels of the dataset as float32, `MASK` and `FLAGS` as uint8 (flags: {flags}). Pixel values are scaled: each image's
header says how (`SCALING`), with what level and noise, in which unit (`SRCUNIT`). A difference is science minus reference: `DIFFSIGN` is 1,
`SRCSIGN` is what it was for the survey's file. `WCSFROM` says where a WCS comes from: `source`, the file that was cut; `linear`, the
directions at the target, which `WCSERR` pixels may be off; `none`, not known. Every HDU carries `CHECKSUM` and `DATASUM`.

"""
_REST = """`export.json` says of which dataset this is, what was asked for and what was left out. {left_out} samples are not here because
they were not public on the day of the export. What follows is the dataset's card; its counts are those of the whole dataset.

"""


def write_papers(
    folder: Path,
    dataset: TrainingDataset,
    samples: pa.Table,
    card: str,
    form: str,
    by: str,
    left_out: int,
) -> None:
    """Write samples.parquet, README.md and croissant.json.

    Args:
        folder: where the pixels are.
        dataset: its row in the database.
        samples: those that are exported, with their places.
        card: of the whole dataset.
        form: fits or npy.
        by: sample or exposure.
        left_out: how many samples are not public.
    """
    told = samples.drop_columns([NAMES_PEOPLE])
    (folder / TABLE).write_bytes(table_bytes(told))
    listed: list[ListedFile | ListedFiles]
    if form == "npy":
        listed = [_listed(folder, name, NPY, meaning) for name, meaning in ARRAYS.items()]
    else:
        listed = [
            ListedFiles(f"fits-{split}", [f"{split}/*.fits"], FITS, f"Samples of split {split}.")
            for split in SPLITS
            if (folder / split).is_dir()
        ]
    table = _listed(folder, TABLE, description="One row a sample.")
    (folder / CROISSANT).write_bytes(as_json(croissant_document(dataset, told, table, listed)))
    (folder / CARD).write_text(_with_reading(card, form, by, left_out), encoding="utf-8")


def _listed(folder: Path, name: str, form: str | None = None, description: str = "") -> ListedFile:
    with (folder / name).open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    more = {} if form is None else {"format": form}
    return ListedFile(name, (folder / name).stat().st_size, digest, description=description, **more)


def _with_reading(card: str, form: str, by: str, left_out: int) -> str:
    """Return the card with how to read the export before its first heading."""
    if form == "npy":
        rows = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in ARRAYS.items())
        reading = _ARRAYS.format(files=rows, table=TABLE)
    else:
        how = _SAMPLE if by == "sample" else _EXPOSURE
        reading = how.format(table=TABLE) + _FITS.format(flags="; ".join(FLAG_LINES))
    front, heading, rest = card.partition("\n# ")
    return f"{front}\n{reading}{_REST.format(left_out=left_out)}{heading[1:]}{rest}"
