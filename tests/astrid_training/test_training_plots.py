"""Each picture of a training is there, has its axes named, and says what was measured."""

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image

from astrid_training import training_plots
from astrid_training.dataset import splits_from
from astrid_training.training import TrainingParams, train_unet

NAMES = ["loss", "roc", "precision_recall", "reliability", "confusion"]


def test_pictures_have_titles_axes_and_something_on_them(
    published_few: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []

    def make(**how: Any) -> Figure:
        drawn.append(Figure(**how))
        return drawn[-1]

    monkeypatch.setattr(training_plots, "Figure", make)
    splits = splits_from(published_few.record, published_few.store, tmp_path / "cache")
    few = TrainingParams(steps=2, batch_size=4, width=1, validate_every=1)
    report = train_unet(splits, few, tmp_path).report

    paths = training_plots.draw_plots(report, tmp_path)

    assert [path.stem for path in paths] == NAMES
    for path, figure in zip(paths, drawn, strict=True):
        with Image.open(path) as picture:
            assert picture.size == (660, 495)
            assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 5
        (axes,) = figure.axes
        assert axes.get_title()
        assert axes.get_xlabel()
        assert axes.get_ylabel()
        assert axes.lines or axes.images
    told = [int(text.get_text()) for text in drawn[-1].axes[0].texts]
    assert told == [report.metrics()[f"test_{name}"] for name in ("tp", "fn", "fp", "tn")]
