"""A training in pictures: loss, ROC, precision and recall, reliability, confusion."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from astrid_training.evaluation import Evaluation
from astrid_training.scoring import Curve
from astrid_training.training import TrainingReport

__all__ = ["PLOTS", "draw_plots"]

PLOTS = "plots"
PIXELS_PER_INCH = 110
ORANGE, BLUE, GREEN, PINK, GREY = "#e69f00", "#0072b2", "#009e73", "#cc79a7", "#777777"
SMOOTH = 10  # steps


def draw_plots(report: TrainingReport, folder: Path) -> list[Path]:
    """Write the pictures into `folder`/plots and return their paths.

    Args:
        report: of the training; of an empty test split there is only the loss.
        folder: made if it is not there.
    """
    there = folder / PLOTS
    there.mkdir(parents=True, exist_ok=True)
    written = [_drawn(there / "loss.png", partial(_loss, report=report))]
    test = report.test
    if test is not None:
        pictures: dict[str, Callable[..., None]] = {
            "roc": _roc,
            "precision_recall": _precision_recall,
            "reliability": _reliability,
            "confusion": _confusion,
        }
        for name, draw in pictures.items():
            written.append(_drawn(there / f"{name}.png", partial(draw, test=test)))
    return written


def _drawn(path: Path, draw: Callable[[Axes], None]) -> Path:
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    FigureCanvasAgg(figure)  # no pyplot: it keeps figures for ever and asks for a screen
    draw(figure.add_subplot())
    figure.savefig(path, dpi=PIXELS_PER_INCH)
    return path


def _loss(axes: Axes, report: TrainingReport) -> None:
    losses = np.array(report.losses)
    width = min(SMOOTH, len(losses))
    smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
    steps = np.arange(1, len(losses) + 1)
    axes.plot(steps, losses, color=BLUE, alpha=0.25, linewidth=0.8)
    axes.plot(steps[width - 1 :], smooth, color=BLUE, label=f"train, mean of {width} steps")
    if report.looks:
        axes.plot(*zip(*report.looks, strict=True), "o-", color=ORANGE, label="val")
    axes.axvline(
        report.best_step, color=GREY, linestyle="--", label=f"kept: step {report.best_step}"
    )
    axes.set(title="Loss", xlabel="optimiser step", ylabel="loss (no unit)", ylim=(0, None))
    axes.legend()


def _roc(axes: Axes, test: Evaluation) -> None:
    for label, curve, colour, area in _curves(test, "roc_auc"):
        axes.plot(
            [0, *curve.false_positive_rate],
            [0, *curve.recall],
            color=colour,
            label=f"{label}, {area}",
        )
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="chance, 0.500")
    axes.set(
        title=f"ROC on test ({test.samples} samples; area under the curve)",
        xlabel="false-positive rate (share of what is not real)",
        ylabel="true-positive rate (share of what is real)",
    )
    axes.legend(loc="lower right")


def _precision_recall(axes: Axes, test: Evaluation) -> None:
    for label, curve, colour, area in _curves(test, "pr_auc"):
        axes.plot(curve.recall, curve.precision, color=colour, label=f"{label}, {area}")
    axes.set(
        title=f"Precision and recall on test ({test.samples} samples; average precision)",
        xlabel="recall (share of what is real)",
        ylabel="precision (share of what is called real)",
        ylim=(0, 1.03),
    )
    axes.legend(loc="lower left")


def _curves(test: Evaluation, area: str) -> Iterator[tuple[str, Curve, str, str]]:
    """Return label, curve, colour and area of each that is defined."""
    colours = {
        "detections": BLUE,
        "detections, gold": GREEN,
        "pixels": ORANGE,
        "pixels, gold": PINK,
    }
    for name, part in test.parts.items():
        gold = "" if name == "all" else f", {name}"
        for what, scores, curve in (
            ("detections", part.objects, part.object_curve),
            ("pixels", part.pixels, part.pixel_curve),
        ):
            value = getattr(scores, area)
            if value is not None:
                yield f"{what}{gold}", curve, colours[f"{what}{gold}"], f"{value:.3f}"


def _reliability(axes: Axes, test: Evaluation) -> None:
    axes.plot(
        [0, 1], [0, 1], color=GREY, linestyle=":", label="a probability that means what it says"
    )
    sides = (("as trained", test.uncalibrated, ORANGE), ("calibrated", test.reliability, BLUE))
    for label, found, colour in sides:
        bins = [one for one in found.bins if one.count]
        sizes = [20 + 180 * one.count / test.samples for one in bins]
        points = np.array([(one.probability, one.real) for one in bins], np.float64)
        axes.plot(points[:, 0], points[:, 1], color=colour, label=f"{label}, ECE {found.ece:.3f}")
        axes.scatter(points[:, 0], points[:, 1], s=sizes, color=colour)
    axes.set(
        title=f"Reliability on test ({test.samples} detections; areas: how many)",
        xlabel="predicted probability of being real",
        ylabel="share that is real",
    )
    axes.legend(loc="lower right")


def _confusion(axes: Axes, test: Evaluation) -> None:
    scores = test.parts["all"].objects
    table = np.array([[scores.tp, scores.fn], [scores.fp, scores.tn]])
    axes.imshow(table, cmap="Blues", vmin=0, vmax=max(1, int(table.max())))
    for (row, column), count in np.ndenumerate(table):
        dark = count > table.max() / 2
        axes.text(
            column, row, str(count), ha="center", va="center", color="white" if dark else "black"
        )
    axes.set_xticks([0, 1], ["real", "not real"])
    axes.set_yticks([0, 1], ["real", "not real"])
    axes.set(
        title=f"Confusion on test ({test.samples} detections)",
        xlabel="as the network says (number of detections)",
        ylabel="as reviewers say",
    )
