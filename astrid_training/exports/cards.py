"""What stands in the headers of exported FITS files."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

from astrid_training.exports.fits_writer import Card
from astrid_training.exports.sky import StampSky
from astrid_training.params import PreprocessSpec
from astrid_training.records import TrainingDataset
from astrid_training.urls import mask_url

__all__ = [
    "FLAG_LINES",
    "dataset_cards",
    "flag_cards",
    "mask_cards",
    "sample_cards",
    "scale_cards",
    "usable",
]

Row = Mapping[str, Any]

UNPRINTABLE = re.compile(r"[^ -~]")
LONGEST_TEXT = 1000
ROOM = 62  # characters of a card for a text and its comment
FLAG_LINES = (
    "1: no value in the difference, else in science",
    "2: saturated in science or reference",
    "4: beyond the edge of the image",
    "8: cosmic ray",
    "16: no value in another channel",
)
"""The bits of `stamps.Flag`."""


def dataset_cards(dataset: TrainingDataset) -> list[Card]:
    """Return what every file of an export says of where it comes from."""
    return usable(
        [
            ("ORIGIN", f"astrid-training {version('astrid-training')}", ""),
            ("DATASET", dataset.version_id, "version of the dataset"),
            ("DSNAME", dataset.name, ""),
            ("DSID", str(dataset.id), ""),
            ("DSSUM", dataset.digests["content"], ""),
            ("SPECFP", dataset.spec_fingerprint, ""),
        ]
    )


def sample_cards(row: Row, name: str, sky: StampSky, margin: int) -> list[Card]:
    """Return what a file says of its sample; what is not known is left out.

    Args:
        row: of the samples table.
        name: the sample's class.
        sky: of its stamp.
        margin: pixels cut off the stored stamp on each side.
    """
    return usable(
        [
            ("SAMPLE", row["sample_key"], "lasting name of the sample"),
            ("OBSID", row["observation_id"], "observation"),
            ("OBJECT", row.get("designation"), "name of the object"),
            *_label_cards(row, name),
            *_observation_cards(row),
            ("RA", row["ra_deg"], "[deg] of the target, ICRS"),
            ("DEC", row["dec_deg"], "[deg] of the target, ICRS"),
            ("TARGX", row["x"] - margin + 1, "[pix] of the target, the first pixel is 1"),
            ("TARGY", row["y"] - margin + 1, "[pix]"),
            ("WCSFROM", sky.origin, "source: its file; linear: directions at target"),
            ("WCSERR", sky.error_px, "[pix] the target may be off the WCS"),
            *_rights_cards(row),
        ]
    )


def _label_cards(row: Row, name: str) -> list[Card]:
    return [
        ("LABEL", int(row["is_anomaly"]), "1 real, 0 bogus"),
        ("CLASS", name, ""),
        ("LABCONF", row["confidence"], "confidence of the label"),
        ("LABSRC", row["label_source"], "who labelled it"),
        ("LABTIER", row["tier"], ""),
        ("WEIGHT", row["weight"], "in a loss"),
        ("SPLIT", row["split"], ""),
        ("GROUP", row["group_key"], "sky group, never in two splits"),
        ("SELECTED", row["selected_for"], "why it is in the dataset"),
    ]


def _observation_cards(row: Row) -> list[Card]:
    observed: datetime | None = row["observation_time"]
    began = f"{observed:%Y-%m-%dT%H:%M:%S.%f}"[:-3] if observed else None
    sign = row["diff_sign"]
    return [
        ("SURVEY", row["survey"], ""),
        ("FILTER", row["band"], "the survey's own name"),
        ("DATE-OBS", began, "start of the exposure"),
        ("TIMESYS", "UTC" if began else None, "of DATE-OBS"),
        ("MJDMID", row.get("mjd_mid"), "[d] middle of the exposure"),
        ("MJDSYS", row.get("time_scale"), "time scale of MJDMID"),
        ("EXPTIME", row.get("exposure_s"), "[s]"),
        ("FWHM", row["fwhm_px"], "[pix] of the PSF"),
        ("FWHMSRC", row["fwhm_source"], "where FWHM comes from"),
        ("PIXSCALE", row["pixel_scale"], "[arcsec]"),
        ("ZEROPT", row["zero_point"], "[mag] of one SRCUNIT"),
        # the pixels are turned round already: who multiplies by DIFFSIGN must not do it again
        ("DIFFSIGN", None if sign is None else 1, "times this: science minus reference"),
        ("SRCSIGN", sign, "what DIFFSIGN was for the survey's file"),
    ]


def _rights_cards(row: Row) -> list[Card]:
    return [
        ("PROGRAM", row["program_id"], "whose data they are"),
        ("PUBLICON", row["proprietary_until"], "when they become public"),
        *(
            (keyword, row[f"{role}_path"] and mask_url(row[f"{role}_path"]), "")
            for keyword, role in (
                ("SCIPATH", "science"),
                ("REFPATH", "reference"),
                ("DIFPATH", "difference"),
            )
        ),
    ]


def scale_cards(row: Row, role: str, spec: PreprocessSpec) -> list[Card]:
    """Return how an image's values came about from those of its file."""
    native = spec.scale == "none"
    return usable(
        [
            ("BUNIT", row.get("units") if native else "", "" if native else "none: scaled values"),
            ("SCALING", spec.scale, "of the pixel values"),
            ("SRCUNIT", None if native else row.get("units"), "unit of the file"),
            ("LEVEL", row.get(f"level_{role}"), "[SRCUNIT] value that became 0"),
            ("NOISE", row.get(f"scale_{role}"), "[SRCUNIT] 1.4826 MAD of the stamp"),
            ("SOFTEN", spec.softening if spec.scale == "asinh" else None, "asinh((v-LEVEL)/(S*N))"),
            ("CLIP", spec.clip, "values were cut at plus and minus this"),
        ]
    )


def mask_cards() -> list[Card]:
    """Return what the codes of a mask mean."""
    return [
        ("COMMENT", "0 background, 1 target, 2 footprint of a rejected detection,", ""),
        ("COMMENT", "255 ignore: missing, saturated, or part of something unknown.", ""),
    ]


def flag_cards() -> list[Card]:
    """Return what the bits of a plane of flags mean."""
    return [("COMMENT", line, "") for line in FLAG_LINES]


def usable(cards: Sequence[Card]) -> list[Card]:
    """Return the cards that FITS can hold: known values, finite numbers, printable ASCII."""
    kept = []
    for keyword, value, comment in cards:
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            continue
        if isinstance(value, str):
            value = UNPRINTABLE.sub("?", value)[:LONGEST_TEXT]
            comment = comment if len(value) + len(comment) <= ROOM else ""
        kept.append((keyword, value, comment))
    return kept
