"""A label of any text, as reviewers may type it, means in a collection what it means by itself."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from astrid_training.params import TrainingDataCollectionParams
from astrid_training.reasons import REASONS
from astrid_training.selection import select_subjects
from astrid_training.taxonomy import taxonomy
from tests.fuzz.amounts import cases

STORABLE = st.characters(exclude_characters="\0", codec="utf-8")
PIECES = st.sampled_from(
    [
        *taxonomy().spellings,
        "?",
        " ",
        "\u202e",
        "\u2066",
        "\ufdfa",
        "ﬁ",
        "İ",
        "e\u0301",
        "'; DROP",
        "%s",
    ]
)
LABELS = st.text(STORABLE, max_size=50) | st.lists(PIECES, max_size=5).map(
    lambda pieces: "".join(pieces)[:50]
)
SET = """
UPDATE validation_events e SET label = n.label, notes = CASE n.number WHEN 1 THEN :notes END
FROM (
    SELECT id, row_number() OVER (ORDER BY id) AS number, (CAST(:labels AS text[]))[1 + (row_number() OVER (ORDER BY id)) % :count] AS label
    FROM validation_events
) n WHERE n.id = e.id
"""


@pytest.mark.trust
@pytest.mark.slow
@cases(2, 20)
@given(labels=st.lists(LABELS, min_size=12, max_size=12))
def test_labels_of_any_text_leave_each_subject_a_label_or_a_reason(
    sky: Any, labels: list[str]
) -> None:
    engine: Engine = sky.engine
    with engine.begin() as connection:
        values = {"labels": labels, "count": len(labels), "notes": "\ufdfa" * 300_000}
        connection.execute(text(SET), values)
        held = connection.execute(text("SELECT DISTINCT label FROM validation_events")).scalars()
        assert set(held) <= set(labels)
    params = TrainingDataCollectionParams(survey_ids=["sim_ztf"])
    with engine.begin() as connection:
        table = select_subjects(connection, params, datetime.now(UTC))

    assert table.num_rows > 50
    assert {reason for reason in table["reason"].to_pylist() if reason} <= set(REASONS)
    classes = set(table.filter(table["reason"].is_null())["anomaly_type"].to_pylist())
    assert classes <= {*taxonomy().axes, "unknown"}
