"""Agreement is told with what it is worth, and as unknown where it is."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from astrid_training.agreement import agreeing_pairs, consistency, krippendorff_alpha
from astrid_training.labels import label_subjects
from astrid_training.reviewers import review_notes, reviewer_table
from astrid_training.taxonomy import taxonomy
from astrid_training.votes import REVIEWS, Votes, cast_votes

Row = tuple[int, str, bool, int]  # subject, validator, verdict, hour


def cast(*rows: Row, label: str | None = None, level: str | None = None) -> Votes:
    reviews = [
        {
            "event_id": f"{number:04d}",
            "detection_id": str(subject),
            "validator": validator,
            "is_valid": is_valid,
            "label": label,
            "level": level,
            "source": "human",
            "at": datetime(2024, 5, 1, tzinfo=UTC) + timedelta(hours=hour),
            "changed": False,
        }
        for number, (subject, validator, is_valid, hour) in enumerate(rows)
    ]
    subjects = np.array([row[0] for row in rows], np.int64)
    return cast_votes(pa.Table.from_pylist(reviews, REVIEWS), subjects, taxonomy())


def test_agreeing_pairs_are_unknown_for_fewer_than_two_votes() -> None:
    share = agreeing_pairs(np.array([0, 1, 2, 1, 2]), np.array([0, 1, 2, 2, 3]))

    np.testing.assert_allclose(share, [np.nan, np.nan, 1, 0, 1 / 3])


def test_alpha_of_a_worked_example() -> None:
    # Krippendorff 2011, section on two observers and binary data: alpha = 0.095
    first = np.array([0, 1, 0, 0, 0, 0, 0, 0, 1, 0])
    second = np.array([1, 1, 1, 0, 0, 1, 0, 0, 0, 0])

    assert krippendorff_alpha(first + second, np.full(10, 2)) == pytest.approx(0.095, abs=0.001)


@pytest.mark.parametrize(
    ("yes", "votes", "alpha"),
    [
        ([2, 0, 2], [2, 2, 2], 1.0),
        ([1, 1, 1, 1], [2, 2, 2, 2], -0.75),
        ([2, 2], [2, 2], None),  # no disagreement was possible
        ([1, 0], [1, 1], None),  # nobody was reviewed twice
        ([], [], None),
    ],
)
def test_alpha_at_its_ends(yes: list[int], votes: list[int], alpha: float | None) -> None:
    found = krippendorff_alpha(np.array(yes, np.int64), np.array(votes, np.int64))

    assert found == (alpha if alpha is None else pytest.approx(alpha))


def test_what_is_not_known_is_none_and_not_zero() -> None:
    found = consistency(cast((0, "a", True, 0)), 1)

    assert found == {
        "n_multi": 0,
        "pair_agreement": None,
        "alpha": None,
        "contradiction_rate": 0.0,
        "flip_rate": None,
        "n_repeated": 0,
    }


def test_second_looks_of_a_person_and_contradictions_are_counted() -> None:
    looks = cast((0, "a", True, 0), (0, "a", False, 1), (0, "a", False, 2), (0, "b", False, 0))
    slips = cast((0, "a", True, 0), (1, "a", False, 0), label="junk")

    assert consistency(looks, 1)["flip_rate"] == 0.5
    assert consistency(looks, 1)["n_repeated"] == 2
    assert consistency(slips, 2)["contradiction_rate"] == 0.5


def test_the_table_of_reviewers_tells_votes_overlap_and_agreement() -> None:
    votes = cast(
        *((n, name, n % 2 == 0, 0) for n in range(40) for name in ("good", "fine")),
        *((n, "contrary", n % 2 == 1, 0) for n in range(20)),
        (40, "alone", True, 0),
        level="HIGH",
    )
    labels, fused = label_subjects(votes, 41, taxonomy())

    rows = {row.pop("validator"): row for row in reviewer_table(votes, labels, fused)}

    assert list(rows) == ["alone", "contrary", "fine", "good"]
    assert (rows["good"]["votes"], rows["good"]["overlapping"]) == (40, 40)
    assert rows["good"]["agreement"] == 1.0
    assert rows["contrary"]["agreement"] == 0.0
    assert rows["contrary"]["sensitivity"] == 0.55 < 0.9 < rows["good"]["sensitivity"]
    assert (rows["alone"]["overlapping"], rows["alone"]["agreement"]) == (0, None)
    assert rows["alone"]["sensitivity"] == pytest.approx(0.85)
    assert rows["fine"]["levels"] == {"HIGH": 40}


def test_notes_count_votes_by_state_and_unknown_words() -> None:
    votes = cast((0, "a", True, 0), (0, "a", True, 1), (1, "b", True, 0), label="blob")
    labels, fused = label_subjects(votes, 2, taxonomy())

    notes = review_notes(votes, labels, fused)

    assert notes["votes"] == {"superseded": 1, "unmapped_label": 2}
    assert notes["unmapped_words"] == {"blob": 2}
    assert notes["prevalence"] is None
