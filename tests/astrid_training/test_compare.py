"""Two sets are compared: each kind of fault is named as itself, and nothing else is."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from astrid_training.compare import CHANGES, Comparison, compare
from astrid_training.drift import Drift
from astrid_training.samples import SCHEMA
from tests.astrid_training.simulated_samples import again, sky, with_column


@pytest.fixture(scope="module")
def before() -> pa.Table:
    return sky(1)


def kinds(found: Comparison) -> list[str]:
    return [one.kind for one in found.findings]


def significant(found: Comparison) -> set[tuple[str, str]]:
    return {(test.where, test.column) for test in found.drifts if test.significant}


def changed(found: Comparison) -> set[str]:
    return {name for name in CHANGES if found.changes[name].keys}


def are(samples: pa.Table, column: str, value: str) -> Any:
    return np.array(samples[column].to_pylist()) == value


def slower_seeing(samples: pa.Table) -> pa.Table:
    fwhm = samples["fwhm_px"].to_numpy()
    there = are(samples, "survey", "ztf") & are(samples, "band", "g")
    return with_column(samples, "fwhm_px", np.where(there, 1.25 * fwhm, fwhm))


def test_a_set_is_as_it_is(before: pa.Table) -> None:
    found = compare(before, before)

    assert (changed(found), found.findings, found.drifts) == (set(), [], [])
    assert found.shared == before.num_rows


def test_another_piece_of_the_same_sky_is_no_finding(before: pa.Table) -> None:
    found = compare(before, sky(2))

    assert changed(found) == {"added", "removed"}
    assert found.findings == []
    assert significant(found) == set()
    assert len(found.drifts) > 40


def test_flipped_labels_are_flipped_labels(before: pa.Table) -> None:
    flip = np.random.default_rng(3).random(before.num_rows) < 0.1
    real = before["is_anomaly"].to_numpy()
    flipped = ["supernova" if bogus else None for bogus in ~real]
    pairs = zip(flip, flipped, before["anomaly_type"].to_pylist(), strict=True)
    names = [other if is_flipped else name for is_flipped, other, name in pairs]
    after = with_column(with_column(before, "is_anomaly", real ^ flip), "anomaly_type", names)

    found = compare(before, after)

    assert kinds(found) == ["relabelled"]
    assert found.changes["relabelled"].keys == before.filter(flip)["sample_key"].to_pylist()
    assert changed(found) == {"relabelled"}
    assert found.changes["relabelled"].ways["bogus artifact -> real supernova"] > 100
    assert {column for _, column in significant(found)} <= {"class"}


def test_seeing_that_drifts_in_one_band_leaves_the_others_quiet(before: pa.Table) -> None:
    for after in (slower_seeing(before), slower_seeing(sky(2))):
        found = compare(before, after)

        assert kinds(found) == ["drift"]
        assert significant(found) == {("ztf g", "fwhm_px")}
        assert "ztf g: fwhm_px drifted, median 2." in found.findings[0].text


def test_what_is_no_chance_but_small_is_nothing_to_look_at() -> None:
    wide = sky(3, fields=240)
    tiers = wide["tier"].to_pylist()
    after = with_column(wide, "tier", ["gold" if n % 10 == 0 else t for n, t in enumerate(tiers)])

    found = compare(wide, after)

    assert {column for _, column in significant(found)} == {"tier"}
    assert not any(test.material for test in found.drifts)
    assert found.findings == []


@pytest.mark.parametrize(
    ("other", "what"),
    [((), "pixels"), (("image_digest",), "place")],
    ids=["copied", "reduced anew"],
)
def test_a_field_that_was_entered_again_is_there_twice(
    before: pa.Table, other: tuple[str, ...], what: str
) -> None:
    field = before.filter(pc.field("dec_deg") == before["dec_deg"][0])  # one object, each epoch
    copy = again(field, "sample_key", "observation_id", *other)

    found = compare(before, pa.concat_tables([before, copy]))

    assert kinds(found) == ["twice"]
    (twice,) = found.twice
    keys = [*field["sample_key"].to_pylist(), *copy["sample_key"].to_pylist()]
    assert (twice.what, twice.groups, twice.exposures) == (what, 4, 8)
    assert twice.keys == sorted(keys)
    assert significant(found) == set()


def test_what_was_there_twice_already_is_no_news(before: pa.Table) -> None:
    both = pa.concat_tables([before, again(before.slice(0, 8), "sample_key", "observation_id")])

    assert compare(both, both).twice == []


def test_a_missing_survey_is_a_missing_survey(before: pa.Table) -> None:
    left = before.filter(pc.field("survey") != "hst")

    gone, new = compare(before, left), compare(left, before)

    assert [one.text for one in gone.findings] == ["survey hst is missing: 960 samples"]
    assert kinds(new) == ["survey_new"]
    assert significant(gone) == significant(new) == set()


def test_a_missing_band_is_a_missing_band(before: pa.Table) -> None:
    left = before.filter(~((pc.field("survey") == "hst") & (pc.field("band") == "r")))

    found = compare(before, left)

    assert [one.text for one in found.findings] == ["band r of hst is missing: 480 samples"]
    assert significant(found) == set()


def test_moved_samples_and_other_pixels_and_masks_are_told_apart(before: pa.Table) -> None:
    splits = before["split"].to_pylist()
    after = with_column(before, "split", ["quarantine", *splits[1:]])
    images, masks = (after[name].to_pylist() for name in ("image_digest", "mask_digest"))
    after = with_column(after, "image_digest", [*images[:-1], "other"])
    after = with_column(after, "mask_digest", ["other", "another", *masks[2:]])

    found = compare(before, after)

    keys = before["sample_key"].to_pylist()
    assert found.changes["moved"].keys == keys[:1]
    assert list(found.changes["moved"].ways) == [f"{splits[0]} -> quarantine"]
    assert found.changes["pixels_changed"].keys == keys[-1:]
    assert found.changes["mask_changed"].keys == keys[:2]


def test_values_that_get_lost_are_a_drift_of_their_own(before: pa.Table) -> None:
    score = before["model_score"].to_numpy()
    hst = are(before, "survey", "hst")
    lost = np.where(hst & (np.arange(len(score)) % 3 == 0), np.nan, score)

    found = compare(before, with_column(before, "model_score", lost))

    assert significant(found) == {("hst g", "model_score"), ("hst r", "model_score")}
    assert {test.of for test in found.drifts if test.significant} == {"share missing"}


def test_a_mixture_that_shifts_is_told_once(before: pa.Table) -> None:
    drawn = sky(2, fields=120)
    keep = are(drawn, "survey", "ztf") | (np.arange(drawn.num_rows) % 3 == 0)

    found = compare(before, drawn.filter(keep))

    assert [(test.where, test.of) for test in found.drifts if test.counts] == [
        ("all surveys", "share of hst g")
    ]


@pytest.mark.parametrize("lower", [-1.0, 1.0])
def test_a_constant_that_becomes_another_one_is_seen(before: pa.Table, lower: float) -> None:
    constant = np.ones(before.num_rows)
    known = with_column(before, "zero_point", 26.0 * constant)

    found = compare(known, with_column(before, "zero_point", (26.0 + lower) * constant))

    assert {column for _, column in significant(found)} == {"zero_point"}


def test_what_too_few_samples_show_is_said_and_not_tested(before: pa.Table) -> None:
    few = sky(2, fields=4, epochs=2)

    found = compare(before, few)

    assert {one.reason for one in found.untested} >= {
        "480 and 16 samples are worth 2 independent ones; a test needs 30"
    }
    assert found.findings == []
    tiny = compare(before.slice(0, 20), few)
    assert {one.column for one in tiny.untested} >= {"all columns"}


def test_the_document_is_json_with_as_many_keys_as_asked_for(before: pa.Table) -> None:
    found = compare(before, slower_seeing(sky(2)))

    document = json.loads(json.dumps(found.to_dict()))
    assert document["samples"] == {"before": 1920, "after": 1920, "shared": 0}
    assert document["changes"]["added"]["count"] == 1920
    assert document["changes"]["added"]["keys"] == found.changes["added"].keys[:20]
    assert len(found.to_dict(None)["changes"]["added"]["keys"]) == 1920
    assert [one["kind"] for one in document["findings"]] == ["drift"]
    assert len(document["drift"]) == len(found.drifts)
    assert found.numbers()["drift_material"] == 1


def test_all_keys_are_in_a_table(before: pa.Table) -> None:
    table = compare(before, sky(2)).keys_table()

    assert table.num_rows == 2 * 1920
    assert table["change"].value_counts().to_pylist() == [
        {"values": "added", "counts": 1920},
        {"values": "removed", "counts": 1920},
    ]


def test_empty_sets_can_be_compared(before: pa.Table) -> None:
    empty = SCHEMA.empty_table()

    assert compare(empty, empty).numbers()["findings"] == 0
    assert kinds(compare(before, empty)) == ["survey_missing", "survey_missing"]


def test_tests_stand_in_a_fixed_order(before: pa.Table) -> None:
    def order(test: Drift) -> tuple[str, str, str, str]:
        return test.survey or "", test.band or "", test.column, test.of

    drifts = compare(before, sky(2)).drifts

    assert list(drifts) == sorted(drifts, key=order)
