"""Each way a stamp can be of no use is a reason in the funnel, and the funnel adds up."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astrid_training.assemble import Assembled, assemble
from astrid_training.build import MASKED, build_samples
from astrid_training.measure import MEASUREMENTS
from astrid_training.packs import put_table
from astrid_training.records import BuiltBatch, MaskRef, Plan, Reject, Selection
from astrid_training.selection import SELECTION
from astrid_training.store import Store

GOOD: dict[str, Any] = {
    "valid_frac": 0.8,
    "central_bad": 0,
    "saturated_centre": False,
    "is_constant": False,
    "template_coverage": 0.8,
}
UNKNOWN: dict[str, Any] = dict.fromkeys(GOOD)
BAD: dict[str, dict[str, Any]] = {
    "valid_fraction": {"valid_frac": 0.799},
    "bad_centre": {"central_bad": 1},
    "saturated_centre": {"saturated_centre": True},
    "constant": {"is_constant": True},
    "template_coverage": {"template_coverage": 0.799},
}
EARLIER = (
    ("fetch_validated_detections", "ambiguous"),
    ("download_fits", "missing_object"),
    ("preprocess", "off_image"),
    ("make_masks", "target_masked"),
)


def key(number: int) -> str:
    return f"{number:032x}"


def collected(folder: Path, fates: list[dict[str, Any] | tuple[str, str]], side: int) -> Assembled:
    """Return what becomes of subjects: measurements of a stamp, or the step and reason of a loss.

    Args:
        folder: of the store.
        fates: one a subject.
        side: samples in a batch.
    """
    store = Store(folder.as_uri())
    selected = []
    for number, fate in enumerate(fates):
        row: dict[str, Any] = {
            "sample_key": key(number),
            "detection_id": key(number),
            "votes": "[]",
        }
        row |= {"label_source": "human", "is_anomaly": number % 2 == 0}
        if isinstance(fate, tuple) and fate[0] == "fetch_validated_detections":
            row |= {"step": fate[0], "reason": fate[1]}
        selected.append(row)
    selection = put_table(store, "selections", pa.Table.from_pylist(selected, schema=SELECTION))
    measured = [(n, fate) for n, fate in enumerate(fates) if isinstance(fate, dict)]
    lost = [
        Reject(key(number), *fate)
        for number, fate in enumerate(fates)
        if isinstance(fate, tuple) and fate[0] != "fetch_validated_detections"
    ]
    built = []
    for start in range(0, len(measured), side):
        part = measured[start : start + side]
        rows = [{"sample_key": key(number), **fate} for number, fate in part]
        table = put_table(store, "measures", pa.Table.from_pylist(rows, schema=MEASUREMENTS))
        stamps = [
            {"sample_key": key(number), "measure_table": table, "pack_row": place}
            for place, (number, _) in enumerate(part)
        ]
        masks = put_table(store, "mask_tables", pa.Table.from_pylist(stamps, schema=MASKED))
        quality = build_samples(store, MaskRef(masks, len(part), []))
        built.append(BuiltBatch(quality.samples, quality.rows, quality.rejects, []))
    plan = Plan([], lost, 0, "")
    found = Selection(selection, datetime(2026, 1, 1, tzinfo=UTC), len(fates), 0)
    return assemble(store, found, plan, built)


@pytest.mark.parametrize("reason", BAD)
@pytest.mark.parametrize("other", [GOOD, UNKNOWN], ids=["known", "unknown"])
def test_a_stamp_of_no_use_leaves_with_its_reason_whatever_its_label(
    tmp_path: Path, reason: str, other: dict[str, Any]
) -> None:
    fates: list[dict[str, Any] | tuple[str, str]] = [other, other, *[other | BAD[reason]] * 2]

    assembled = collected(tmp_path, fates, side=3)

    assert [(row.step, row.reason, row.count) for row in assembled.funnel] == [
        ("fetch_validated_detections", "selected", 4),
        ("score_quality", reason, 2),  # a real one and a rejected one
        ("persist_dataset", "kept", 2),
    ]
    assert assembled.samples["sample_key"].to_pylist() == [key(0), key(1)]


fate = st.one_of(
    st.just(GOOD),
    st.sampled_from(EARLIER),
    st.lists(st.sampled_from(sorted(BAD)), unique=True).map(
        lambda names: {k: v for name in names for k, v in BAD[name].items()} | {"snr": 1.0}
    ),
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(fates=st.lists(fate, max_size=30), side=st.integers(1, 8))
def test_the_funnel_adds_up_for_any_mixture_of_losses(
    tmp_path: Path, fates: list[dict[str, Any] | tuple[str, str]], side: int
) -> None:
    assembled = collected(tmp_path, fates, side)

    selected, *drops, kept = assembled.funnel
    assert selected.count == len(fates)
    assert selected.count == kept.count + sum(row.count for row in drops)
    expected = Counter(
        next((name for name in BAD if BAD[name].items() <= one.items()), "kept")
        if isinstance(one, dict)
        else one[1]
        for one in fates
    )
    assert kept.count == expected.pop("kept", 0)
    assert {row.reason: row.count for row in drops} == expected
