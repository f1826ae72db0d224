"""What a cap takes does not depend on what an earlier collection has taken."""

from collections.abc import Callable

import pytest

from astrid_training.records import PublishedDataset


@pytest.mark.parametrize(
    "caps",
    [{"max_samples": 40}, {"max_samples": 80}, {"negatives": {"bogus_per_real": 0.3}}],
    ids=["few", "many", "rejected"],
)
def test_a_capped_collection_takes_the_same_subjects_again(
    collect: Callable[..., PublishedDataset], caps: dict[str, object]
) -> None:
    first = collect(**caps)
    again = collect(**caps)

    assert any(row.reason.startswith("beyond_") for row in first.funnel)
    assert again.funnel == first.funnel
    assert again.reused
    assert again.dataset_id == first.dataset_id
