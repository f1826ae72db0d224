"""The card tells what the dataset is, trusts nobody's text, and is the same tomorrow."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
import yaml

from astrid_training.cards.card import write_card
from astrid_training.cards.stored import CARD, card_key, documents
from astrid_training.params import OVERRIDES
from astrid_training.surveys.acknowledgements import acknowledgement
from astrid_training.surveys.profiles import profiles


@pytest.fixture(scope="module")
def card(published: Any) -> str:
    return write_card(published.record, published.samples)


def test_it_tells_of_every_part(published: Any, card: str) -> None:
    record = published.record
    for told in (record.version_id, str(record.id), record.spec_fingerprint, record.samples_key):
        assert told in card
    for digest in record.digests.values():
        assert digest in card
    for title in (
        "Classes and splits",
        "How the labels came about",
        "How the pixels were prepared",
        "Quality",
        "What was left out",
        "Known limits",
        "Whose data they are",
        "Acknowledgements",
        "How to load it",
        "How to cite it",
    ):
        assert f"\n## {title}\n" in card
    assert "| real | supernova | 24 | 8 | 8 |" in card
    assert "| fetch_validated_detections | ambiguous | 12 |" in card
    assert f'load_training_dataset("{record.version_id}")' in card


def test_its_front_matter_is_what_a_hub_reads(card: str) -> None:
    _, front, _ = card.split("---\n", 2)
    told = yaml.safe_load(front)

    assert told["pretty_name"] == "validated-detections"
    assert told["size_categories"] == ["n<1K"]
    assert {one["name"]: one["num_examples"] for one in told["dataset_info"]["splits"]} == {
        "train": 143,
        "val": 48,
        "test": 48,
    }


def test_it_does_not_tell_what_changes_later(published: Any, card: str) -> None:
    later = dataclasses.replace(
        published.record,
        status="revoked",
        mlflow_run_id="0badcafe",
        metrics={"note": "in use"},
    )

    assert write_card(later, published.samples) == card
    assert "active" not in card


def test_nobody_s_text_becomes_markup(published: Any) -> None:
    hostile = "<script>alert(1)</script> | a\n# b [c](javascript:d) `e`"
    record = dataclasses.replace(
        published.record, description=hostile, name='x"\n---\nlicense: mit', created_by="a|b\n## c"
    )
    rows = published.samples.to_pylist()
    rows[0]["band"] = "g|\n| r"
    card = write_card(record, pa.Table.from_pylist(rows, published.samples.schema))

    assert "<script>" not in card
    assert "\n# b" not in card
    assert "\n## c" not in card
    assert "[c](" not in card
    front = card.split("\n---\n", 1)[0].removeprefix("---\n")
    assert yaml.safe_load(front)["license"] == "other"
    for line in card.splitlines():
        if line.startswith("| sim_ztf"):
            assert line.replace("\\|", "").count("|") == 6


def test_limits_say_why_samples_are_in_and_which_gates_were_overridden(published: Any) -> None:
    rows = published.samples.to_pylist()
    for number, row in enumerate(rows):
        row["selected_for"] = "score_cut" if number % 2 else "queue"
        row["program_id"] = "2" if number == 0 else "1"
    report = {**published.record.quality_report, "overrides": ["allow_one_class"]}
    params = {**published.record.collection_params, "min_model_score": 0.4}
    record = dataclasses.replace(published.record, quality_report=report, collection_params=params)

    card = write_card(record, pa.Table.from_pylist(rows, published.samples.schema))

    assert "what the model misses is missing here" in card
    assert "Only what the model scored at least 0.4 was taken" in card
    assert "Overridden gates: allow_one_class." in card
    assert "1 (238), 2 (1)" in card
    assert set(OVERRIDES) & set(card.split()) <= {"allow_one_class"}


def test_each_survey_is_thanked_in_our_words_with_where_its_own_stand() -> None:
    known = {"ztf", "hst", "jwst", "tess", "decam", "rubin"}
    for name in known:
        told = acknowledgement(name.upper())
        assert told.text is not None
        assert told.text.startswith("https://")
        assert len(told.thanks) < 200
    others = set(profiles(None)) - known - {"generic", "small_stamps"}
    assert all("simulate" in acknowledgement(name).thanks for name in others)
    assert "ask who runs it" in acknowledgement("my survey").thanks


def test_an_old_dataset_gets_the_card_that_it_would_have_got(published: Any) -> None:
    first, second = (
        documents(published.record, published.samples, published.store) for _ in range(2)
    )

    assert first == second
    assert card_key(published.record.id, CARD).startswith(f"cards/{published.record.id}/")


def test_a_dataset_without_samples_or_times_has_a_card(published: Any) -> None:
    empty = published.samples.slice(0, 0)

    assert "0 stamps of" in write_card(published.record, empty)
    made = datetime(2025, 1, 1, tzinfo=UTC)
    assert "2025-01-01" in write_card(
        dataclasses.replace(published.record, created_at=made), published.samples
    )
