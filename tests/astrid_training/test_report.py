"""The report is one file, shows what was published, and trusts nobody's text."""

import dataclasses
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from astrid_training.packs import PackCache
from astrid_training.records import FunnelRow
from astrid_training.report import funnel_lines, write_refusal, write_report

HOSTILE = '<script>alert("x")</script>'
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that tags are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())

    def values(self, tag: str, name: str) -> list[str]:
        return [v for t, n, v in self.attributes if (t, n) == (tag, name)]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def written(published: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    packs = PackCache(published.store, folder / "cache")
    return write_report(published.record, published.samples, packs, folder / "new" / "report.html")


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page(written.read_text(encoding="utf-8"))


def test_nothing_is_fetched_from_elsewhere(written: Path, page: Page) -> None:
    sources = page.values("img", "src")

    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", written.read_text())
    assert "url(" not in written.read_text()


def test_it_shows_that_nothing_leaks(page: Page) -> None:
    assert "41 objects in 37 sky groups, the largest of 9 samples" in page.text
    assert "1 crowded groups were cut into 4 tiles" in page.text
    assert "5 moving objects have no designation" in page.text
    assert "near duplicates 0" in page.text


def test_it_says_what_was_published(published: Any, page: Page) -> None:
    record = published.record
    for fact in (record.name, record.version_id, str(record.id), "0.931", "50.0%", record.status):
        assert fact in page.text
    assert "2024-05-01 00:00 UTC" in page.text
    assert all(digest in page.text for digest in record.digests.values())
    assert "asteroid real 24 8 8 0 40" in page.text
    assert "all 143 48 48 1 240" in page.text
    assert "sim_ztf, band g real 72 24 24 0 120" in page.text
    assert "image quality 0.880 0.35 0.308" in page.text
    assert "two classes ✓ passed 120 real and 120 rejected" in page.text
    assert "val holds 3 rejected sky groups" in page.text


def test_the_funnel_adds_up_before_the_readers_eyes(page: Page) -> None:
    assert "ambiguous its reviewers do not settle it; a further review decides −12 245" in page.text
    assert "257 selected − 17 dropped = 240 kept ✓ adds up" in page.text


def test_a_funnel_that_loses_somebody_says_so(published: Any, tmp_path: Path) -> None:
    lossy = [FunnelRow("fetch", "selected", 10), FunnelRow("persist", "kept", 9)]
    record = dataclasses.replace(published.record, funnel=lossy)

    path = write_report(
        record, published.samples.slice(0, 1), PackCache(published.store, tmp_path), tmp_path / "r"
    )

    assert "✗ does not add up" in path.read_text()


def test_funnel_lines_count_down() -> None:
    rows = [
        FunnelRow("fetch", "selected", 10),
        FunnelRow("fetch", "ambiguous", 3),
        FunnelRow("build", "edge", 1),
        FunnelRow("persist", "kept", 6),
    ]

    lines = funnel_lines(rows)

    assert [line.remaining for line in lines] == [10, 7, 6, 6]
    assert [bool(line.meaning) for line in lines] == [False, True, True, False]


def test_every_stamp_has_its_key_class_confidence_and_alt_text(published: Any, page: Page) -> None:
    shown = re.findall(r"\b[0-9a-f]{32}\b", page.text)
    rows = {row["sample_key"]: row for row in published.samples.to_pylist()}

    assert len(page.values("img", "alt")) == len(shown) == 6 * 3 * 3 + 1
    for key, alt in zip(shown, page.values("img", "alt"), strict=True):
        assert rows[key]["anomaly_type"] in alt
        assert rows[key]["split"] in alt
    assert f"supernova, confidence {rows[shown[9]]['confidence']:.2f}" in page.text


def test_headings_descend_one_level_at_a_time_and_tables_are_labelled(page: Page) -> None:
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch(r"h[1-6]", tag)]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.tags.count("caption") == page.tags.count("table")
    assert len(page.values("th", "scope")) == page.tags.count("th")
    assert page.values("html", "lang") == ["en"]


def test_it_follows_the_readers_colour_scheme_and_prints(written: Path) -> None:
    text = written.read_text()

    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_the_same_dataset_gives_the_same_bytes(
    published: Any, written: Path, tmp_path: Path
) -> None:
    again = write_report(
        published.record, published.samples, PackCache(published.store, tmp_path), tmp_path / "r"
    )

    assert again.read_bytes() == written.read_bytes()


def test_text_of_others_is_escaped(published: Any, tmp_path: Path) -> None:
    samples = published.samples.slice(0, 4)
    for name in ("anomaly_type", "survey", "band"):
        place = samples.column_names.index(name)
        samples = samples.set_column(place, name, pa.array([HOSTILE] * 4))
    record = dataclasses.replace(
        published.record,
        name=HOSTILE,
        description=HOSTILE,
        created_by=HOSTILE,
        collection_params={"name": HOSTILE},
        funnel=[FunnelRow(HOSTILE, HOSTILE, 4)],
        quality_report={
            "issues": [HOSTILE],
            "gates": [{"name": HOSTILE, "passed": False, "detail": HOSTILE}],
            "components": {HOSTILE: 0.5},
        },
    )

    path = write_report(
        record, samples, PackCache(published.store, tmp_path), tmp_path / "report.html"
    )

    page = Page(path.read_text())
    assert "script" not in page.tags
    assert page.text.count("alert(") >= 12


def test_an_empty_report_still_makes_a_page(published: Any, tmp_path: Path) -> None:
    bare = dataclasses.replace(published.record, quality_report={}, description=None)

    path = write_report(
        bare, published.samples.slice(0, 0), PackCache(published.store, tmp_path), tmp_path / "r"
    )

    assert "unknown" in Page(path.read_text()).text


def test_a_refusal_gives_its_reasons_first(published: Any, tmp_path: Path) -> None:
    reasons = ["no sample in val: collect more of the sky", f"only 3 real {HOSTILE}"]
    report = published.record.quality_report

    path = write_refusal(
        f"nightly {HOSTILE}", reasons, published.record.funnel, report, tmp_path / "refusal.html"
    )

    page = Page(path.read_text())
    assert "script" not in page.tags
    assert "was refused" in page.text
    assert page.text.index(reasons[0]) < page.text.index("From reviews to samples")
    assert "257 selected − 17 dropped = 240 kept" in page.text
    assert "image quality 0.880" in page.text
