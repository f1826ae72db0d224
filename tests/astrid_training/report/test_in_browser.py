"""A report of ten thousand samples, in a browser without a network."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from astrid_training.packs import PackCache
from astrid_training.report import write_report

pytestmark = pytest.mark.slow

SAMPLES = 10_000
MOST_MB = 12
SANE_MS = 20_000  # on a machine that does other things too; the goal of 2 s is printed, not judged

OVERFLOWING = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
UNNAMED = """[...document.querySelectorAll('svg[role=img]')].filter(
    one => !one.querySelector('title').textContent || !one.querySelector('desc').textContent).length"""
OUTSIDE = """[...document.querySelectorAll('svg[role=img] text, svg[role=img] rect, svg[role=img] circle')].filter(one => {
    const a = one.getBoundingClientRect(), b = one.ownerSVGElement.getBoundingClientRect();
    return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1;
}).map(one => one.textContent || one.outerHTML)"""
FOCUSED = (
    "document.activeElement.tagName + ' ' + (document.activeElement.getAttribute('href') || '')"
)


def _many(samples: pa.Table, count: int) -> pa.Table:
    """Return `count` samples that share the stamps of a few, each with its own key and place."""
    random = np.random.default_rng(113)
    rows = np.arange(count) % samples.num_rows
    table = samples.take(pa.array(rows))
    columns = {
        "sample_key": [f"{number:032x}" for number in range(count)],
        "group_key": [f"group-{number // 2}" for number in range(count)],
        "image_digest": [f"{number:064x}" for number in range(count)],
        "ra_deg": random.uniform(0, 360, count),
        "dec_deg": np.degrees(np.arcsin(random.uniform(-1, 1, count))),
        "confidence": random.uniform(0.7, 1, count),
        "model_score": random.uniform(0, 1, count),
        "quality_score": random.beta(8, 2, count),
        "fwhm_px": random.normal(2.4, 0.2, count),
    }
    for name, values in columns.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(values))
    return table


@pytest.fixture(scope="module")
def page(published: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    packs = PackCache(published.store, folder / "cache")
    samples = _many(published.samples, SAMPLES)
    return write_report(published.record, samples, packs, folder / "report.html")


def test_it_loads_offline_without_a_complaint_and_all_pictures_decode(
    browser: Any, page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times = []
    for _ in range(5):
        browser.open(page)
        times.append(browser.load_ms())
        assert browser.requests == []
        assert browser.complaints == []

    size = page.stat().st_size / 1e6
    with capsys.disabled():
        told = ", ".join(f"{time:.0f}" for time in sorted(times))
        print(f"\n{SAMPLES} samples: {size:.1f} MB, loaded in {told} ms (goal 2000)")
    assert len(browser.pictures()) > 60
    assert all(browser.pictures())
    assert size < MOST_MB
    assert min(times) < SANE_MS


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_runs_off_the_page_or_its_drawing(browser: Any, page: Path, width: int) -> None:
    browser.open(page, width=width)

    assert browser.value(OVERFLOWING) <= 0
    assert browser.value(OUTSIDE) == []
    assert browser.value(UNNAMED) == 0


def test_the_first_keys_lead_to_the_sections(browser: Any, page: Path) -> None:
    browser.open(page)

    for _ in range(2):
        for kind in ("keyDown", "keyUp"):
            browser.ask("Input.dispatchKeyEvent", type=kind, key="Tab", windowsVirtualKeyCode=9)

    assert browser.value(FOCUSED).startswith("A #")


def test_light_and_dark_differ_and_it_prints_as_a_document(browser: Any, page: Path) -> None:
    grounds = []
    for dark in (False, True):
        browser.open(page, dark=dark)
        grounds.append(browser.value("getComputedStyle(document.body).backgroundColor"))

    assert grounds == ["rgb(255, 255, 255)", "rgb(18, 21, 27)"]
    assert browser.pdf().startswith(b"%PDF-")
