import os
from pathlib import Path
from typing import Any

import pytest

from astrid_training.alerts.labels import GivenLabels, LabelsError
from astrid_training.alerts.surveys import parse_alert

CANDID = "2475433850015015000"


def label_of(made: Any, tmp_path: Path, **columns: object) -> Any:
    table = made.write_csv(tmp_path / "labels.csv", {"candid": CANDID, **columns})
    record = made.ztf_record()
    return GivenLabels(table).of(parse_alert(record), record)


@pytest.mark.parametrize(
    ("said", "astrid_type", "word"),
    [
        ("SN Ia", "supernova", "SN Ia"),
        ("GCVS M", "variable", "variable"),  # the survey's own word says nothing to us
        ("Inexistent", "unknown", "unknown"),
        ("Blue thing", "", "Blue thing"),  # kept as said: it leaves as unmapped, with its count
        ("", "", None),
    ],
)
def test_the_word_is_one_that_the_taxonomy_knows_if_there_is_one(
    made: Any, tmp_path: Path, said: str, astrid_type: str, word: str | None
) -> None:
    label = label_of(
        made, tmp_path, label=1, label_tier="human", label_class=said, astrid_type=astrid_type
    )

    assert label.word == word


@pytest.mark.parametrize(
    ("tier", "source", "level"),
    [
        ("human_spectroscopic", "human", "EXPERT"),
        ("catalogue", "machine", "LOW"),
        ("ephemeris", "machine", "LOW"),
        ("machine", "machine", "LOW"),
    ],
)
def test_only_people_have_the_level_that_they_state(
    made: Any, tmp_path: Path, tier: str, source: str, level: str
) -> None:
    label = label_of(made, tmp_path, label=0, label_tier=tier, confidence_level="expert")

    assert (label.source, label.level, label.is_valid) == (source, level, False)


@pytest.mark.parametrize(("label", "tier"), [("", "human"), (1, "none"), (1, ""), ("?", "human")])
def test_what_does_not_say_is_no_label(made: Any, tmp_path: Path, label: object, tier: str) -> None:
    assert label_of(made, tmp_path, label=label, label_tier=tier) is None


@pytest.mark.parametrize(
    ("columns", "cause"),
    [
        ({"label": 1}, "no column labeltier"),
        ({"label_tier": "human"}, "no column label"),
        ({"label": 1, "label_tier": "human", "candid": "2.47e18"}, "line 2.*candid"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    made: Any, tmp_path: Path, columns: dict[str, object], cause: str
) -> None:
    with pytest.raises(LabelsError, match=cause):
        label_of(made, tmp_path, **columns)


def test_without_a_table_the_columns_beside_the_alert_count(made: Any) -> None:
    record = made.candidate(label="1", label_tier="human_scan")
    plain = made.candidate(label="1")

    assert GivenLabels().of(parse_alert(record), record) is not None
    assert GivenLabels().of(parse_alert(plain), plain) is None


def test_long_words_are_cut_to_what_the_tables_hold(made: Any, tmp_path: Path) -> None:
    label = label_of(made, tmp_path, label=1, label_tier="h" * 300, label_class="w" * 300)

    assert (label.tier, label.word) == ("h" * 100, "w" * 50)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"candid,label,label_tier\n1,1,human,more,columns\n", None),
        (b"candid,label,label_tier\n1," + b"1" * 200_000 + b",human\n", "no table of labels"),
        (b"candid,label,label_tier\n1,1,\xff\xfe\n", "no table of labels"),
        (b"candid,label,label_tier\n1,1,a\0b\n", "NUL"),
        (b"candid,label,label_tier\n1.0,1,human\n", "no whole number"),
        (b"root:x:0:0:root:/root\nbin,x\n", "no column label"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_with_the_cause(
    tmp_path: Path, content: bytes, cause: str | None
) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    if cause is None:
        GivenLabels(tmp_path / "labels.csv")
        return

    with pytest.raises(LabelsError, match=cause):
        GivenLabels(tmp_path / "labels.csv")


def test_a_pipe_is_no_table(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "labels.csv")

    with pytest.raises(LabelsError, match="no regular file"):
        GivenLabels(tmp_path / "labels.csv")
