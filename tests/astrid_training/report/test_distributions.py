"""Histograms hold every known value, reach the limits that they are judged by, and say so in words."""

import numpy as np
import pyarrow as pa
import pytest

from astrid_training.quality import METRICS
from astrid_training.report.charts import Chart
from astrid_training.report.distributions import (
    AXES,
    observing_conditions,
    quality_charts,
    short,
)

USUAL = {
    "ztf": {"g": {"fwhm_px": 2.0, "log_rms": 1.0, "log_rms_spread": 0.1, "depth_5sigma": 21.0}}
}
LIMITS = {metric.name: metric.limit for metric in METRICS}


def _samples(rows: int = 100, **columns: object) -> pa.Table:
    values: dict[str, object] = {
        "survey": ["ztf"] * rows,
        "band": ["g"] * rows,
        "label_source": ["human"] * (rows - 10) + ["sky"] * 10,
        "is_anomaly": [number % 2 == 0 for number in range(rows - 10)] + [False] * 10,
        "confidence": np.linspace(0.7, 1, rows),
        "quality_score": np.linspace(0.4, 1, rows),
        "model_score": pa.nulls(rows, pa.float64()),
        "pixel_scale": np.full(rows, 1.5),
        "fwhm_px": np.linspace(1.8, 2.6, rows),
        "fwhm_source": ["header"] * rows,
        "registration_px": np.linspace(0, 0.2, rows),
        "valid_frac": np.ones(rows),
    }
    return pa.table(values | columns)


def _charts(samples: pa.Table) -> dict[str, Chart]:
    return {chart.words.name: chart for chart in quality_charts(samples, USUAL, 0.7)}


def test_only_what_is_known_is_drawn() -> None:
    assert set(_charts(_samples())) == {
        "confidence",
        "quality-score",
        "fwhm",
        "registration",
        "valid-fraction",
    }


def test_every_metric_of_a_score_has_an_axis_with_a_title() -> None:
    assert set(LIMITS) <= set(AXES)


def test_bars_are_stacked_of_real_rejected_and_sky_which_has_no_label() -> None:
    charts = _charts(_samples())

    assert charts["fwhm"].series == ["real", "rejected", "sky"]
    assert charts["confidence"].series == ["real", "rejected"]
    assert charts["confidence"].words.summary.startswith("90 of 90 are known; median 0.8348")


def test_the_limit_is_drawn_however_far_the_values_are_and_counts_those_beyond() -> None:
    fine, poor = _charts(_samples()), _charts(_samples(registration_px=np.linspace(0, 1, 100)))

    assert "limit 0.5, 0 beyond" in [rule.words for rule in fine["registration"].rules]
    assert "limit 0.5, 50 beyond" in [rule.words for rule in poor["registration"].rules]
    assert "Beyond the axis: worst from 1.5 up." in fine["registration"].words.summary


def test_an_outlier_is_counted_in_the_last_bar_and_stretches_no_axis() -> None:
    values = np.append(np.linspace(0, 0.2, 999), 50.0)
    chart = _charts(_samples(1000, registration_px=values))["registration"]

    assert max(float(tick.words) for tick in chart.x_ticks) <= 1.5
    assert chart.bars[-1].x + chart.bars[-1].width == pytest.approx(chart.right, abs=2)


def test_a_chart_without_spread_is_drawn() -> None:
    chart = _charts(_samples())["valid-fraction"]

    assert sum(bar.height for bar in chart.bars) == pytest.approx(chart.bottom - chart.top, abs=1)


def test_conditions_are_told_survey_by_survey_and_band_by_band() -> None:
    bands = ["g"] * 50 + ["r"] * 50
    seeing = np.array([2.0] * 50 + [3.0] * 50)

    told = observing_conditions(_samples(band=bands, fwhm_px=seeing))

    arcsec = told.names.index("FWHM, arcsec")
    assert [row[:2] for row in told.rows] == [("ztf, band g", 50), ("ztf, band r", 50)]
    assert [spreads[arcsec].median for _, _, spreads in told.rows] == [3.0, 4.5]
    assert "cosmic rays" not in told.names, "nobody looked for them"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "unknown"),
        (0.000191, "0.0002"),
        (-0.00001, "0"),
        (21.0299, "21.03"),
        (0.95491, "0.9549"),
    ],
)
def test_numbers_are_short(value: float | None, words: str) -> None:
    assert short(value) == words
