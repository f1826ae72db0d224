"""Plots of how a dataset's samples are spread. For worker processes: matplotlib stays out of flows."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from astrid_training.samples import SPLITS, class_names

__all__ = ["PLOTS", "write_plots"]

# Okabe and Ito's palette, which all eyes tell apart; the order on the page tells them apart, too
COLOURS = MappingProxyType(
    {
        "train": "#0072b2",
        "val": "#e69f00",
        "test": "#009e73",
        "quarantine": "#999999",
        "real": "#0072b2",
        "rejected": "#e69f00",
        "sky": "#999999",
    }
)
KINDS = ("real", "rejected", "sky")
SIZE_INCH, DOTS_PER_INCH = (7.2, 4.2), 120
FONT_POINTS = 11
BINS = 20
WIDEST_FLAT_DEG = 40  # beyond it a rectangle of degrees would show no true shapes
MOST_MONTHS_NAMED = 12


def write_plots(samples: pa.Table, folder: Path) -> list[Path]:
    """Write one PNG for each of `PLOTS` into `folder`, made if it is not there, and return them.

    The same samples give the same bytes.

    Args:
        samples: the samples table.
        folder: where they go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(draw, samples, folder / f"{name}.png") for name, draw in PLOTS.items()]


def _write(draw: Callable[[Figure, pa.Table], None], samples: pa.Table, path: Path) -> Path:
    figure = Figure(figsize=SIZE_INCH, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)  # draws without a screen
    draw(figure, samples)
    if figure.axes[0].get_legend_handles_labels()[1]:
        figure.legend(loc="outside right upper", fontsize=FONT_POINTS)  # hides nothing there
    figure.savefig(path, metadata={"Software": None})
    return path


def _classes(figure: Figure, samples: pa.Table) -> None:
    names, splits = class_names(samples), samples["split"].to_pylist()
    order = [name for name, _ in sorted(Counter(names).items(), key=lambda one: (one[1], one[0]))]
    cells = Counter(zip(splits, names, strict=True))
    parts = {
        split: np.array([cells[split, name] for name in order])
        for split in (*SPLITS, "quarantine")
        if split in splits
    }
    axes = _axes(figure, "Classes by split", "samples", "")
    left = np.zeros(len(order), int)
    for split, counts in parts.items():
        axes.barh(order, counts, left=left, label=split, color=COLOURS[split], edgecolor="white")
        left += counts
    axes.set_yticks(range(len(order)), [name.replace("_", " ") for name in order])
    for place, total in enumerate(left.tolist()):
        axes.annotate(str(total), (total, place), (4, 0), textcoords="offset points", va="center")
    axes.margins(x=0.1)


def _months(figure: Figure, samples: pa.Table) -> None:
    times = samples["observation_time"]
    known = pc.is_valid(times).to_numpy()
    months = times.drop_null().to_numpy().astype("datetime64[M]")
    title = _with_unknown("Samples by month of observation", int((~known).sum()))
    axes = _axes(figure, title, "month, UTC", "samples")
    if not len(months):
        return
    first, last = months.min(), months.max()
    span = np.arange(first, last + 1)
    counts = {
        kind: np.bincount((months[of[known]] - first).astype(int), minlength=len(span))
        for kind, of in _kinds(samples).items()
    }
    _stacked(axes, np.arange(len(span)), counts)
    step = math.ceil(len(span) / MOST_MONTHS_NAMED)
    axes.set_xticks(np.arange(len(span))[::step], [str(month) for month in span[::step]])
    axes.tick_params(axis="x", rotation=45)


def _confidence(figure: Figure, samples: pa.Table) -> None:
    axes = _axes(
        figure, "Confidence of the labels", "probability that the label is right", "samples"
    )
    _histogram(axes, samples, "confidence", (0.5, 1.0))


def _quality(figure: Figure, samples: pa.Table) -> None:
    title = _with_unknown("Quality of the observations", samples["quality_score"].null_count)
    axes = _axes(figure, title, "quality score, 0 to 1", "samples")
    _histogram(axes, samples, "quality_score", (0.0, 1.0))


def _sky(figure: Figure, samples: pa.Table) -> None:
    ra, dec = (samples[name].to_numpy() for name in ("ra_deg", "dec_deg"))
    known = np.isfinite(ra) & np.isfinite(dec)
    middle = _middle(ra[known])
    east = (ra - middle + 180) % 360 - 180
    spread = max(np.ptp(east[known]), np.ptp(dec[known])) if known.any() else 0.0
    if spread > WIDEST_FLAT_DEG:
        _whole_sky(figure, samples, ra, dec)
        return
    axes = _axes(figure, "Sky coverage", "right ascension, degrees", "declination, degrees")
    _points(axes, samples, middle + east, dec)
    axes.xaxis.set_inverted(inverted=True)  # east is left, as on the sky
    axes.margins(0.1)


def _whole_sky(
    figure: Figure, samples: pa.Table, ra: NDArray[np.float64], dec: NDArray[np.float64]
) -> None:
    axes = figure.add_subplot(projection="mollweide")
    axes.set_title(
        "Sky coverage: right ascension and declination, degrees", fontsize=FONT_POINTS + 2
    )
    east = (ra + 180) % 360 - 180
    _points(axes, samples, -np.radians(east), np.radians(dec))
    ticks = np.arange(-150, 151, 60)
    axes.set_xticks(np.radians(ticks), [f"{-tick % 360}°" for tick in ticks])
    axes.grid(alpha=0.4)


PLOTS: Mapping[str, Callable[[Figure, pa.Table], None]] = MappingProxyType(
    {
        "classes_by_split": _classes,
        "months": _months,
        "confidence": _confidence,
        "quality_score": _quality,
        "sky_coverage": _sky,
    }
)
"""Name of the file, without its ending -> what draws it."""


def _axes(figure: Figure, title: str, along: str, up: str) -> Axes:
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=FONT_POINTS + 2)
    axes.set_xlabel(along, fontsize=FONT_POINTS)
    axes.set_ylabel(up, fontsize=FONT_POINTS)
    axes.tick_params(labelsize=FONT_POINTS)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _with_unknown(title: str, unknown: int) -> str:
    return f"{title} ({unknown} unknown, not shown)" if unknown else title


def _kinds(samples: pa.Table) -> dict[str, NDArray[np.bool_]]:
    """Return (samples,) which are real, which people rejected, and which are empty sky."""
    real = np.array(samples["is_anomaly"].to_pylist(), bool)
    sky = np.array([source == "sky" for source in samples["label_source"].to_pylist()], bool)
    found = {"real": real, "rejected": ~real & ~sky, "sky": sky}
    return {kind: of for kind, of in found.items() if of.any()}


def _histogram(axes: Axes, samples: pa.Table, column: str, span: tuple[float, float]) -> None:
    values = samples[column].to_numpy()
    edges = np.linspace(*span, BINS + 1)
    counts = {
        kind: np.histogram(values[of & np.isfinite(values)], edges)[0]
        for kind, of in _kinds(samples).items()
    }
    _stacked(axes, (edges[1:] + edges[:-1]) / 2, counts, width=(edges[1] - edges[0]) * 0.92)


def _stacked(
    axes: Axes,
    places: NDArray[np.float64] | NDArray[np.int64],
    counts: Mapping[str, Sequence[int] | NDArray[np.int64]],
    width: float = 0.8,
) -> None:
    base = np.zeros(len(places), int)
    for kind, some in counts.items():
        axes.bar(places, some, width, base, color=COLOURS[kind], label=kind)
        base = base + np.asarray(some)


def _points(axes: Axes, samples: pa.Table, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    for kind, marker in zip(KINDS, "o^s", strict=True):  # shapes, too, tell the kinds apart
        of = _kinds(samples).get(kind)
        if of is not None:
            axes.scatter(
                x[of],
                y[of],
                s=14,
                c=COLOURS[kind],
                marker=marker,
                label=kind,
                alpha=0.7,
                linewidths=0,
            )


def _middle(ra_deg: NDArray[np.float64]) -> float:
    """Return the direction that the positions lie around, also where they lie around 0."""
    angle = np.radians(ra_deg)
    return math.degrees(math.atan2(np.sin(angle).sum(), np.cos(angle).sum())) % 360
