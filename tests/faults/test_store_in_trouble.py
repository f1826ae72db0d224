"""A whole collection on a bucket whose server refuses, breaks off and dawdles all the while."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from astrid_training.records import PublishedDataset
from astrid_training.store import Store
from tests.faults.aftermath import check_dataset
from tests.faults.buckets import into_bucket
from tests.faulty_proxy import QUICK, Fault, FaultyProxy
from tests.tally import Tally

FAULTS: tuple[Fault, ...] = (500, 503, 429, 408, "reset", "lost", "cut", "broken", "slow")

pytestmark = [pytest.mark.slow, pytest.mark.trust]


@pytest.fixture
def proxy(s3_server: Any) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(s3_server.credentials.endpoint_url)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("every", [4, 5, 7])
def test_the_dataset_is_the_undisturbed_one(
    copy_tiny: Callable[[], Any],
    asked: dict[str, Any],
    s3_server: Any,
    proxy: FaultyProxy,
    collect_from: Any,
    undisturbed_tiny: PublishedDataset,
    tally: Tally,
    every: int,
) -> None:
    calm, requests, injected = into_bucket(copy_tiny(), s3_server), count(), list[Fault]()

    def fault() -> Fault | None:
        if next(requests) % every:
            return None
        injected.append(FAULTS[len(injected) % len(FAULTS)])
        return injected[-1]

    proxy.draw = fault
    through = replace(s3_server.credentials, endpoint_url=proxy.url)
    published = collect_from(replace(calm, store=Store(calm.store.url, through, QUICK)))(**asked)

    assert set(injected) == set(FAULTS)
    check_dataset(calm.engine, calm.store, published, undisturbed_tiny)
    tally("faults injected", len(injected))
