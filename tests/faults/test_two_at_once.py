"""Two collections of the same reviews at once make one dataset."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from astrid_training.records import PublishedDataset
from tests.faults.aftermath import check_dataset, check_objects
from tests.faults.processes import CollectOnce, collected
from tests.tally import Tally

pytestmark = [pytest.mark.slow, pytest.mark.trust]


@pytest.mark.parametrize("moment", ["store_pack:after", "register_stamps:before"])
def test_both_end_with_it(
    copy_tiny: Callable[[], Any],
    asked: dict[str, Any],
    undisturbed_tiny: PublishedDataset,
    tally: Tally,
    moment: str,
) -> None:
    sky = copy_tiny()
    gates = [sky.home / "first", sky.home / "second"]
    for gate in gates:
        gate.touch()

    both = [CollectOnce(sky, asked, ASTRID_FAULT=f"{moment}:wait={gate}") for gate in gates]
    deadline = time.monotonic() + 60
    while not all(gate.read_text() for gate in gates):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for gate in gates:
        gate.unlink()

    published = [collected(one.end()) for one in both]
    assert len({one.dataset_id for one in published}) == 1
    assert sorted(one.reused for one in published) == [False, True]
    for one in published:
        check_dataset(sky.engine, sky.store, one, undisturbed_tiny)
    check_objects(sky.engine, sky.store, sky.home / "store")
    tally("faults injected", 1)
