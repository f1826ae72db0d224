"""Which samples are shown: doubtful ones, poor ones, a few at random, and some of each class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrid_training.contact_sheet import Stamp, choose, pictures
from astrid_training.digests import unit_hash
from astrid_training.packs import PackCache
from astrid_training.params import PreprocessSpec
from astrid_training.report.tables import kinds
from astrid_training.samples import SPLITS

__all__ = ["Sheet", "Shown", "class_sheets", "theme_sheets"]

PER_THEME = 9
PER_CLASS_AND_SPLIT = 3
CONTRARY = 0.5  # apart: the model's score lies on the other side of a half

Floats = NDArray[np.float64]
Note = Callable[[dict[str, object]], str]


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture and what makes it worth a look."""

    stamp: Stamp
    note: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """Pictures that were chosen for one reason."""

    title: str
    about: str
    shown: list[Shown]


def theme_sheets(samples: pa.Table, packs: PackCache, spec: PreprocessSpec) -> list[Sheet]:
    """Return the most uncertain, most contested, those that the model contradicts, poorest, random.

    Ties are settled by the sample's key, so the same samples are shown each time.

    Args:
        samples: the samples table.
        packs: where their stamps and masks are.
        spec: how their pixels were made.
    """
    human = np.array([source == "human" for source in samples["label_source"].to_pylist()], bool)
    told = []
    for title, about, order, note in _themes(samples, human):
        rows = _first(order, samples["sample_key"].to_pylist())
        chosen = samples.take(pa.array(rows, pa.int64()))
        notes = [note(row) for row in chosen.to_pylist()]
        stamps = pictures(chosen, packs, spec)
        told.append(Sheet(title, about, [Shown(*both) for both in zip(stamps, notes, strict=True)]))
    return told


def _themes(samples: pa.Table, human: NDArray[np.bool_]) -> list[tuple[str, str, Floats, Note]]:
    """Return title, explanation, a number per sample and a note; the least numbers are shown."""
    confidence, agreement, score, model = (
        _numbers(samples, name)
        for name in ("confidence", "agreement", "quality_score", "model_score")
    )
    label = _numbers(samples, "is_anomaly")
    contested = human & (_numbers(samples, "n_validators") >= 2) & (agreement < 1)
    contradicted = human & (np.abs(label - model) > CONTRARY)
    hashed = np.array([unit_hash("report", key) for key in samples["sample_key"].to_pylist()])
    return [
        (
            "Most uncertain",
            "Labels that people gave and that the fusion trusts least.",
            np.where(human, confidence, np.nan),
            lambda row: f"{row['n_votes']} review{'s' if row['n_votes'] != 1 else ''}",
        ),
        (
            "Most contested",
            "Samples whose reviewers disagree, by the share of their pairs that agree.",
            np.where(contested, agreement, np.nan),
            lambda row: f"{row['n_validators']} reviewers, {row['agreement']:.0%} of pairs agree",
        ),
        (
            "Against the model",
            "People say one thing, the model's score the other. The model never made a label, and may be wrong.",
            np.where(contradicted, -np.abs(label - model), np.nan),
            lambda row: f"model {row['model_score']:.2f}",
        ),
        (
            "Poorest observations",
            "The lowest scores of an observation that are known.",
            score,
            lambda row: f"quality {row['quality_score']:.2f}",
        ),
        ("Random", "Chosen by a hash of their keys: a fair look at the whole.", hashed, _scored),
    ]  # fmt: skip


def _scored(row: dict[str, object]) -> str:
    score = row["quality_score"]
    return "quality unknown" if score is None else f"quality {score:.2f}"


def _first(order: Floats, keys: Sequence[str]) -> list[int]:
    rows = np.lexsort((np.asarray(keys, str), order))
    return [int(row) for row in rows[:PER_THEME] if not np.isnan(order[row])]


def _numbers(table: pa.Table, name: str) -> Floats:
    values: Floats = table[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def class_sheets(samples: pa.Table, packs: PackCache, spec: PreprocessSpec) -> list[Sheet]:
    """Return some of each class and split, the first by their keys, the splits in their order.

    The arguments are those of `theme_sheets`.
    """
    chosen = choose(samples, PER_CLASS_AND_SPLIT)
    order = {split: number for number, split in enumerate(SPLITS)}
    of: dict[tuple[str, str], list[Shown]] = {}
    rows = zip(pictures(chosen, packs, spec), kinds(chosen), chosen.to_pylist(), strict=True)
    for stamp, kind, row in rows:
        of.setdefault((kind, stamp.name), []).append(Shown(stamp, _scored(row)))
    return [
        Sheet(
            f"{name} ({kind})",
            "",
            sorted(
                shown,
                key=lambda one: (order.get(one.stamp.split, len(order)), one.stamp.sample_key),
            ),
        )
        for (kind, name), shown in of.items()
    ]
