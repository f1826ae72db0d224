"""Drift: whether samples of two datasets look as if they came from the same sky and instruments.

Survey by survey and band by band, column by column.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astrid_training.null_law import LEVEL, Clusters, Codes, Floats, adjusted, judge
from astrid_training.side_by_side import (
    SEPARATOR,
    Place,
    bands_of,
    common_bins,
    compact,
    joined,
    places_of,
    shared_codes,
    value_bins,
)

__all__ = ["MATERIAL", "Drift", "Untested", "find_drift", "labels_of"]

MATERIAL = 0.1
"""An index from which a difference matters, if it is no chance."""
BINS = 10
LEAST_INDEPENDENT = 30
LEAST_SAMPLES = 10
PER_BIN = 10  # independent samples, of both sides together
KINDS = (
    "class",
    "tier",
    "label_source",
    "split",
    "selected_for",
    "source_kind",
    "fwhm_source",
    "diff_sign",
)
"""Columns whose values are names."""
NOT_LOOKED_AT = frozenset(
    {
        "image_row",
        "mask_row",
        "is_anomaly",  # class tells it
        "p_real",  # class and confidence do
        "weight",  # 2 x confidence - 1
        "ra_deg",  # where a set looks is chosen, as is when
        "dec_deg",
        "frame_x",
        "frame_y",
        "mjd_mid",
        "px_x_east",
        "px_y_east",
        "px_x_north",
        "px_y_north",
    }
)


@dataclass(frozen=True, slots=True)
class Untested:
    """A column that too few independent samples show."""

    survey: str | None
    band: str | None
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class Drift:
    """One column of one survey and band: how far it moved, and whether that may be chance."""

    survey: str | None
    """None: of all surveys and bands that both sets have."""
    band: str | None
    column: str
    of: str
    """What `before` and `after` tell: median, share missing, or share of one name."""
    before: float
    after: float
    n_before: int
    n_after: int
    bins: int
    independent: float
    """Samples that the comparison is worth; those of one exposure are hardly more than one."""
    psi: float
    chance: float
    """The index that chance alone passes once in twenty."""
    p_value: float
    q_value: float
    """Share of false alarms among all that are as significant as this one."""
    significant: bool
    """q_value is at most 0.05."""
    material: bool
    """psi is at least 0.1."""

    @property
    def counts(self) -> bool:
        """Whether it is no chance and also matters."""
        return self.significant and self.material

    @property
    def where(self) -> str:
        """Survey and band in words."""
        if self.survey is None:
            return "all surveys"
        return f"{self.survey} {self.band}" if self.band else self.survey


Found = Drift | Untested


def find_drift(before: pa.Table, after: pa.Table) -> tuple[list[Drift], list[Untested]]:
    """Return every test that was made, and what could not be tested; both in a fixed order.

    Values are put into bins that hold a tenth of `before` each; names are their own bins; whether a
    value is missing is a test of its own. Columns in which nothing differs are not tested.

    Args:
        before: a samples table.
        after: another one.
    """
    places, everywhere = places_of(before, after)
    found: list[Found] = [_few(place) for place in places if _is_small(place)]
    places = [place for place in places if not _is_small(place)]
    if everywhere is not None:
        bands = (bands_of(before), bands_of(after))
        found += _of_names(everywhere, "survey and band", *bands)
    for name in KINDS:
        sides = [labels_of(side) if name == "class" else side[name] for side in (before, after)]
        for place in places:
            found += _of_names(place, name, *sides)
    for name in _numeric(before, after):
        first, second = _numbers(before[name]), _numbers(after[name])
        for place in places:
            found += _of_numbers(place, name, first[place.before], second[place.after])
    found.sort(key=lambda one: (one.survey or "", one.band or "", one.column, _of(one)))
    tests = [one for one in found if isinstance(one, Drift)]
    return _corrected(tests), [one for one in found if isinstance(one, Untested)]


def labels_of(samples: pa.Table) -> pa.ChunkedArray:
    """Return what people decided of each sample, as `real supernova`, `bogus artifact` or `sky`."""
    is_real = samples["is_anomaly"]
    kind = pc.coalesce(samples["anomaly_type"], pc.if_else(is_real, "unknown", "artifact"))
    label = pc.binary_join_element_wise(pc.if_else(is_real, "real", "bogus"), kind, " ")
    is_sky = pc.equal(pc.coalesce(samples["label_source"], pa.scalar("")), "sky")
    return pc.if_else(is_sky, "sky", label)


def _is_small(place: Place) -> bool:
    sizes = (len(place.before), len(place.after))
    return min(sizes) < LEAST_SAMPLES or sum(sizes) < LEAST_INDEPENDENT


def _few(place: Place) -> Untested:
    sizes = f"{len(place.before)} and {len(place.after)} samples"
    return Untested(
        place.survey,
        place.band,
        "all columns",
        f"{sizes}; a test needs {LEAST_SAMPLES} on either side and {LEAST_INDEPENDENT} together",
    )


def _of(one: Drift | Untested) -> str:
    return one.of if isinstance(one, Drift) else ""


def _corrected(tests: list[Drift]) -> list[Drift]:
    """Return the tests with what stands up to there being so many of them."""
    rates = adjusted(np.array([test.p_value for test in tests], np.float64))
    return [
        replace(test, q_value=float(rate), significant=bool(rate <= LEVEL))
        for test, rate in zip(tests, rates, strict=True)
    ]


def _numeric(before: pa.Table, after: pa.Table) -> list[str]:
    """Return the columns of numbers and truths that both sides have."""
    return [
        field.name
        for field in before.schema
        if field.name not in NOT_LOOKED_AT
        and field.name not in KINDS
        and (_is_number(field.type) or pa.types.is_boolean(field.type))
        and field.name in after.column_names
    ]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _numbers(column: pa.ChunkedArray) -> Floats:
    """Return the values, NaN where they are missing."""
    values: Floats = column.cast(pa.float64()).to_numpy()
    return values


def _of_numbers(place: Place, column: str, before: Floats, after: Floats) -> Iterator[Found]:
    """Yield whether values are missing more often, and whether the others moved."""
    clusters = place.clusters
    missing = (np.isnan(before), np.isnan(after))
    if missing[0].any() or missing[1].any():
        shares = (float(missing[0].mean()), float(missing[1].mean()))
        codes = joined(missing[0].astype(np.int64), missing[1].astype(np.int64))
        yield from _told(place, column, "share missing", shares, codes, place.clusters)
        known = (~missing[0], ~missing[1])
        before, after = before[known[0]], after[known[1]]
        if not (len(before) and len(after)):
            return
        clusters = [compact(a[known[0]], b[known[1]]) for a, b in place.clusters]
    medians = (float(np.median(before)), float(np.median(after)))
    bins = BINS
    while bins >= 2:
        codes = value_bins(before, after, bins)
        told = list(_told(place, column, "median", medians, codes, clusters))
        worth = told[0].independent if told and isinstance(told[0], Drift) else 0.0
        fewer = max(int(worth) // PER_BIN, 2)
        if not worth or fewer >= bins:
            break
        bins = fewer
    yield from told


def _of_names(
    place: Place, column: str, before: pa.ChunkedArray, after: pa.ChunkedArray
) -> Iterator[Found]:
    """Yield whether the names' shares moved, told by the share that moved most."""
    codes, names = shared_codes(before.take(place.before), after.take(place.after))
    shares = [np.bincount(side, minlength=len(names)) / len(side) for side in codes]
    most = int(np.argmax(np.abs(shares[0] - shares[1])))
    told = (float(shares[0][most]), float(shares[1][most]))
    of = f"share of {names[most].replace(SEPARATOR, ' ').strip()}"
    yield from _told(place, column, of, told, common_bins(*codes), place.clusters)


def _told(
    place: Place,
    column: str,
    of: str,
    told: tuple[float, float],
    codes: tuple[Codes, Codes],
    clusters: Clusters,
) -> Iterator[Found]:
    """Yield the test of bins, or why there is none; nothing where nothing differs."""
    before, after = codes
    bins = int(max(before.max(), after.max())) + 1
    judged = judge(before, after, bins, clusters) if bins > 1 else None
    if judged is None:
        return
    if judged.independent < LEAST_INDEPENDENT:
        reason = (
            f"{len(before)} and {len(after)} samples are worth {judged.independent:.0f} independent "
            f"ones; a test needs {LEAST_INDEPENDENT}"
        )
        yield Untested(place.survey, place.band, column, reason)
        return
    yield Drift(
        survey=place.survey,
        band=place.band,
        column=column,
        of=of,
        before=told[0],
        after=told[1],
        n_before=len(before),
        n_after=len(after),
        bins=bins,
        independent=judged.independent,
        psi=judged.psi,
        chance=judged.chance,
        p_value=judged.p_value,
        q_value=judged.p_value,
        significant=False,
        material=judged.psi >= MATERIAL,
    )
