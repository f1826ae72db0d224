"""The report is one file, shows what was published, and trusts nobody's text."""

import dataclasses
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from astrid_training.compare import compare
from astrid_training.packs import PackCache
from astrid_training.records import FunnelRow
from astrid_training.report import Parent, RejectExample, ReportContext, write_refusal, write_report
from astrid_training.surveys.profiles import BandReference

Parse = Callable[[Path], Any]
HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def written(published: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    packs = PackCache(published.store, folder / "cache")
    return write_report(published.record, published.samples, packs, folder / "new" / "report.html")


@pytest.fixture(scope="module")
def page(written: Path, parse: Parse) -> Any:
    return parse(written)


def test_nothing_is_fetched_from_elsewhere(written: Path, page: Any) -> None:
    sources = page.values("img", "src")

    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", written.read_text())
    assert not re.findall(r"https?:|//", text)
    assert set(re.findall(r"url\((.)", text)) == {"#"}
    assert "default-src 'none'" in text


def test_it_shows_that_nothing_leaks(page: Any) -> None:
    assert "41 objects in 37 sky groups, the largest of 9 samples" in page.text
    assert "1 crowded groups were cut into 4 tiles" in page.text
    assert "5 moving objects have no designation" in page.text
    assert "near duplicates 0" in page.text


def test_it_says_what_was_published(published: Any, page: Any) -> None:
    record = published.record
    for fact in (record.name, record.version_id, str(record.id), "0.931", "50.0%", record.status):
        assert fact in page.text
    assert "2024-05-01 00:00 UTC" in page.text
    assert all(digest in page.text for digest in record.digests.values())
    assert "asteroid real 24 8 8 0 40" in page.text
    assert "all 143 48 48 1 240" in page.text
    assert (
        "sim_ztf, band g class label train val test quarantine all asteroid real 24 8" in page.text
    )
    assert "image quality 0.880 0.35 0.308" in page.text
    assert "two classes ✓ passed 120 real and 120 rejected" in page.text
    assert "val holds 3 rejected sky groups" in page.text


def test_reviewers_are_told_with_what_was_learned_of_them(
    parse: Parse, published: Any, tmp_path: Path
) -> None:
    reviews = {
        "votes": {"counts": 7},
        "unmapped_words": {},
        "mutated_after_as_of": 0,
        "min_model_score": 0.4,
        "reviewers": [
            {
                "validator": "ada <b>",
                "votes": 5,
                "overlapping": 2,
                "sensitivity": 0.91,
                "specificity": 0.85,
                "agreement": None,
                "levels": {"HIGH": 4, "none": 1},
                "machine": False,
            }
        ],
        "consistency": {
            "n_multi": 1,
            "pair_agreement": 1.0,
            "alpha": None,
            "contradiction_rate": 0.0,
            "flip_rate": None,
            "n_repeated": 0,
        },
    }
    quality = {**published.record.quality_report, "reviews": reviews}
    record = dataclasses.replace(published.record, quality_report=quality)

    path = write_report(
        record, published.samples.slice(0, 1), PackCache(published.store, tmp_path), tmp_path / "r"
    )

    text = parse(path).text
    assert "ada <b> 5 2 0.910 0.850 unknown high 4, none 1" in text
    assert "100.0% of their pairs agree (Krippendorff's alpha unknown)" in text
    assert "the model scored at least 0.4" in text


def test_the_funnel_adds_up_before_the_readers_eyes(page: Any) -> None:
    assert "ambiguous its reviewers do not settle it; a further review decides −12 245" in page.text
    assert "257 selected − 17 dropped = 240 kept ✓ adds up" in page.text


def test_a_funnel_that_loses_somebody_says_so(published: Any, tmp_path: Path) -> None:
    lossy = [FunnelRow("fetch", "selected", 10), FunnelRow("persist", "kept", 9)]
    record = dataclasses.replace(published.record, funnel=lossy)

    path = write_report(
        record, published.samples.slice(0, 1), PackCache(published.store, tmp_path), tmp_path / "r"
    )

    assert "✗ does not add up" in path.read_text()


def test_every_stamp_has_its_key_class_confidence_and_alt_text(published: Any, page: Any) -> None:
    shown = re.findall(r"\b[0-9a-f]{32}\b", page.text)
    rows = {row["sample_key"]: row for row in published.samples.to_pylist()}

    assert len(page.values("img", "alt")) == len(shown) == 3 * 9 + 6 * 3 * 3 + 1
    for key, alt in zip(shown, page.values("img", "alt"), strict=True):
        assert rows[key]["anomaly_type"].replace("_", " ") in alt
        assert rows[key]["split"] in alt
    first = rows[shown[0]]
    assert f"in {first['split']}, confidence {first['confidence']:.2f}" in page.text


def test_headings_descend_one_level_at_a_time_and_tables_are_labelled(page: Any) -> None:
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch(r"h[1-6]", tag)]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.tags.count("caption") == page.tags.count("table")
    assert len(page.values("th", "scope")) == page.tags.count("th")
    assert page.values("html", "lang") == ["en"]


def _contrast(one: str, other: str) -> float:
    """Return the ratio of two colours as WCAG 2.2 has it, 1 to 21."""

    def luminance(colour: str) -> float:
        parts = [part / 255 for part in bytes.fromhex(colour.removeprefix("#"))]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_words_and_marks_stand_out_from_what_they_stand_on(written: Path, scheme: int) -> None:
    found = re.findall(r":root \{(.*?)\}", written.read_text(), re.DOTALL)[scheme]
    colours = dict(re.findall(r"--(\w+): (#\w{6});", found))

    for ground in (colours["page"], colours["panel"]):
        for name in ("ink", "quiet", "accent", "good", "bad"):
            assert _contrast(colours[name], ground) >= 4.5, name
        for name in ("train", "val", "test", "quarantine", "real", "rejected", "sky"):
            assert _contrast(colours[name], ground) >= 3, name


def test_pictures_that_are_drawn_have_a_name_and_a_description(page: Any) -> None:
    named = page.values("svg", "aria-labelledby")
    identities = [value for _, name, value in page.attributes if name == "id"]

    assert page.values("svg", "role").count("img") == len(named) >= 3
    assert {name for names in named for name in names.split()} <= set(identities)
    assert len(identities) == len(set(identities))
    assert len(named) + len(page.values("svg", "aria-hidden")) == page.tags.count("svg")


def test_the_contents_lead_to_every_section(page: Any) -> None:
    links = [target.removeprefix("#") for target in page.values("a", "href")]

    assert links == page.values("section", "aria-labelledby")
    assert set(links) <= set(page.values("h2", "id"))


def test_what_left_is_shown_by_example(published: Any, parse: Parse, tmp_path: Path) -> None:
    examples = [
        RejectExample("0" * 32, "det-1", "make_masks", "target_masked", "31 % of the disk is missing"),
        RejectExample("1" * 32, None, "fetch_validated_detections", "ambiguous", "confidence 0.6 < 0.7"),
    ]  # fmt: skip
    path = write_report(
        published.record,
        published.samples.slice(0, 1),
        PackCache(published.store, tmp_path),
        tmp_path / "r",
        ReportContext(tuple(examples)),
    )

    text = parse(path).text
    assert (
        f"target masked (make masks, 2 in all) {'0' * 32} det-1 31 % of the disk is missing" in text
    )
    assert f"ambiguous (fetch validated detections, 12 in all) {'1' * 32} none confidence" in text


def _seen_through_clouds(samples: pa.Table) -> pa.Table:
    """Return samples whose band r has another seeing, without the first ten of them."""
    blurred = [
        fwhm * (1.5 if band == "r" else 1.0) * (1 + number % 7 / 100)
        for number, (fwhm, band) in enumerate(
            zip(samples["fwhm_px"].to_pylist(), samples["band"].to_pylist(), strict=True)
        )
    ]
    place = samples.column_names.index("fwhm_px")
    return samples.set_column(place, "fwhm_px", pa.array(blurred)).slice(10)


def test_what_changed_against_the_parent_is_told_with_drift_by_survey_and_band(
    published: Any, parse: Parse, tmp_path: Path
) -> None:
    now = _seen_through_clouds(published.samples)
    parent = Parent("fedcba9876543210", compare(published.samples, now))

    path = write_report(
        published.record,
        now,
        PackCache(published.store, tmp_path),
        tmp_path / "r",
        ReportContext(parent=parent),
    )

    text = parse(path).text
    assert "Version fedcba9876543210 has 240 samples, this one 230; 230 are in both" in text
    assert "removed 10" in text
    assert "sim_ztf r fwhm px median 2.4" in text
    assert "✗ yes" in text
    assert f"there are {len(parent.comparison.findings)} things to look at" in text  # type: ignore[union-attr]


def test_a_parent_that_cannot_be_read_is_named_with_the_cause(
    published: Any, parse: Parse, tmp_path: Path
) -> None:
    path = write_report(
        published.record,
        published.samples.slice(0, 1),
        PackCache(published.store, tmp_path),
        tmp_path / "r",
        ReportContext(parent=Parent("fedcba9876543210", None, "samples/x.parquet is not there")),
    )

    assert (
        "fedcba9876543210 cannot be compared with: samples/x.parquet is not there"
        in parse(path).text
    )


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


def test_text_of_others_is_escaped(parse: Parse, published: Any, tmp_path: Path) -> None:
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

    page = parse(path)
    assert "script" not in page.tags
    assert page.text.count("alert(") >= 12


def test_an_empty_report_still_makes_a_page(parse: Parse, published: Any, tmp_path: Path) -> None:
    bare = dataclasses.replace(published.record, quality_report={}, description=None)

    path = write_report(
        bare, published.samples.slice(0, 0), PackCache(published.store, tmp_path), tmp_path / "r"
    )

    assert "unknown" in parse(path).text


def test_a_refusal_gives_its_reasons_first(parse: Parse, published: Any, tmp_path: Path) -> None:
    reasons = ["no sample in val: collect more of the sky", f"only 3 real {HOSTILE}"]
    report = published.record.quality_report

    path = write_refusal(
        f"nightly {HOSTILE}", reasons, published.record.funnel, report, tmp_path / "refusal.html"
    )

    page = parse(path)
    assert "script" not in page.tags
    assert "was refused" in page.text
    assert page.text.index(reasons[0]) < page.text.index("From reviews to samples")
    assert "257 selected − 17 dropped = 240 kept" in page.text
    assert "image quality 0.880" in page.text


def test_a_refusal_keeps_everything_that_was_found_out(
    parse: Parse, published: Any, tmp_path: Path
) -> None:
    report = published.record.quality_report | {
        "gates": [
            {
                "name": "coverage",
                "passed": True,
                "detail": "x",
                "overridden_by": "allow_low_coverage",
            }
        ],
        "reviews": {
            "votes": {"counts": 276, "superseded": 10},
            "unmapped_words": {"hmm": 2},
            "mutated_after_as_of": 3,
        },
        "consistency": {
            "n_multi": 41,
            "alpha": 0.613,
            "pair_agreement": 0.9,
            "contradiction_rate": 0.02,
            "flip_rate": None,
        },
        "human_image_quality": {"spearman": 0.412, "n": 33},
        "observing": {"registration": {"known": 71, "median": 0.055, "beyond_limit": 4}},
        "references": {"sim_ztf": {"ztf_r": dict.fromkeys(BandReference.model_fields, 2.25)}},
    }
    params = {"survey_ids": ["sim_ztf"], "allow_low_coverage": True}

    path = write_refusal("x", ["a"], published.record.funnel, report, tmp_path / "r.html", params)

    page = parse(path)
    for told in (
        "coverage ✗ let through",
        "count 276",
        "hmm (2)",
        "41 subjects have several; Krippendorff's alpha 0.613",
        "turned round on a second look unknown",
        "said of 33 images how good they are; the rank correlation (Spearman) with the score is 0.412",
        "registration 71 0.055 4",
        "sim_ztf ztf_r 2.250",
        '"allow_low_coverage": true',
    ):
        assert told in page.text
