"""Samples as FITS files: one each, or one for all of an exposure."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np

from astrid_training.exports.cards import (
    dataset_cards,
    flag_cards,
    mask_cards,
    sample_cards,
    scale_cards,
    usable,
)
from astrid_training.exports.fits_writer import BLOCK, image_hdu, primary_hdu
from astrid_training.exports.pixels import PLANES, StoredPixels
from astrid_training.exports.sky import SkyReader, StampSky, primary_role
from astrid_training.params import PreprocessSpec
from astrid_training.records import TrainingDataset

__all__ = ["FitsWriter"]

Row = Mapping[str, Any]
IMAGES, MASKS, FLAGS = PLANES
WCS_COLUMNS = ("crval1", "crval2", "crpix1", "crpix2", "cd1_1", "cd1_2", "cd2_1", "cd2_2")
TEXT, WHOLE, REAL, TRUTH = "A", "K", "D", "L"


class FitsWriter:
    """Makes FITS files of a dataset's samples; equal samples give equal bytes.

    Args:
        dataset: whose samples they are.
        pixels: of the samples.
        sky: tells where stamps lie.
    """

    def __init__(self, dataset: TrainingDataset, pixels: StoredPixels, sky: SkyReader) -> None:
        self._dataset, self._pixels, self._sky = dataset, pixels, sky
        self._spec = PreprocessSpec(**dataset.preprocess_spec)

    def sample(self, row: Row, name: str) -> bytes:
        """Return the file of one sample: an HDU for each image, MASK and FLAGS.

        Args:
            row: of the samples table.
            name: the sample's class.
        """
        sky = self._sky.of(row, self._spec.padded_size, self._pixels.margin)
        cards = [*sample_cards(row, name, sky, self._pixels.margin), *dataset_cards(self._dataset)]
        hdus = [primary_hdu(cards)]
        for role, pixels in zip(self._spec.channels, self._pixels.of(row, IMAGES), strict=True):
            scaled = scale_cards(row, role, self._spec)
            hdus.append(image_hdu(pixels, role, scaled, sky.headers.get(role, "")))
        on_primary = sky.headers.get(primary_role(row), "")
        hdus.append(image_hdu(self._pixels.of(row, MASKS), "mask", mask_cards(), on_primary))
        hdus.append(image_hdu(self._pixels.of(row, FLAGS), "flags", flag_cards(), on_primary))
        return b"".join(hdus)

    def exposure(self, rows: Sequence[Row], names: Sequence[str]) -> bytes:
        """Return the file of some samples of one exposure: cubes, and a table of a row a sample.

        Args:
            rows: of the samples table.
            names: the samples' classes.
        """
        images, masks, flags = (
            np.stack([self._pixels.of(row, plane) for row in rows]) for plane in PLANES
        )
        shared = [
            ("OBSID", rows[0]["observation_id"], "observation"),
            ("SURVEY", rows[0]["survey"], ""),
            ("NSAMPLES", len(rows), "slices of each cube, rows of SAMPLES"),
        ]
        scaled = scale_cards({"units": rows[0].get("units")}, "", self._spec)
        return b"".join(
            [
                primary_hdu([*usable(shared), *dataset_cards(self._dataset)]),
                *(
                    image_hdu(images[:, number], role, scaled)
                    for number, role in enumerate(self._spec.channels)
                ),
                image_hdu(masks, "mask", mask_cards()),
                image_hdu(flags, "flags", flag_cards()),
                _table(self._columns(rows, names)),
            ]
        )

    def _columns(self, rows: Sequence[Row], names: Sequence[str]) -> dict[str, list[Any]]:
        """Return the cards of the samples as columns, with a plane of the sky in each row."""
        margin, size = self._pixels.margin, self._spec.padded_size
        skies = [self._sky.of(row, size, margin) for row in rows]
        told = [
            {
                key.lower().replace("-", "_"): value
                for key, value, _ in sample_cards(row, name, sky, margin)
            }
            | {
                f"{what}_{role}": row.get(f"{what}_{role}")
                for what in ("level", "scale")
                for role in self._spec.channels
            }
            | _plane(row, sky)
            for row, name, sky in zip(rows, names, skies, strict=True)
        ]
        order = dict.fromkeys(name for one in told for name in one)
        return {name: [one.get(name) for one in told] for name in order}


def _plane(row: Row, sky: StampSky) -> dict[str, float | None]:
    if sky.x is None or sky.y is None or sky.matrix is None:
        return dict.fromkeys(WCS_COLUMNS)
    centre = (row["ra_deg"], row["dec_deg"], sky.x + 1, sky.y + 1)
    return dict(zip(WCS_COLUMNS, (*centre, *sky.matrix.ravel().tolist()), strict=True))


def _table(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """Return the HDU of a table; what is not known is an empty text or NaN."""
    from astropy.io import fits  # heavy; imported only where tables are written

    made = []
    for name, values in columns.items():
        known = [value for value in values if value is not None]
        if any(isinstance(value, str) for value in known):
            texts = ["" if value is None else str(value) for value in values]
            kind = f"{max(1, *map(len, texts))}{TEXT}"
            made.append(fits.Column(name, kind, array=np.array(texts)))
        elif known and all(isinstance(value, int) for value in known) and len(known) == len(values):
            made.append(fits.Column(name, WHOLE, array=np.array(values, np.int64)))
        else:
            numbers = [np.nan if value is None else float(value) for value in values]
            made.append(fits.Column(name, REAL, array=np.array(numbers)))
    table = fits.BinTableHDU.from_columns(made, name="SAMPLES")
    table.add_checksum(when="of this HDU")  # else the time of writing stands there
    buffer = BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(buffer, output_verify="exception")
    return buffer.getvalue()[BLOCK:]
