"""What passes by itself is asked for again, what does not is asked once, and no key is told."""

import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from astrid_training.buckets import PART_BYTES
from astrid_training.digests import digest_bytes
from astrid_training.errors import MissingObjectError
from astrid_training.store import (
    ObjectChangedError,
    Store,
    StoreRefusedError,
    StoreUnavailableError,
)
from deployments.embedded.processes import free_port
from tests.faulty_proxy import HASTY, QUICK, Fault, FaultyProxy

BODY = bytes(range(256)) * 4096  # 1 MiB: more than a socket holds
Call = Callable[[Store], object]


@pytest.fixture
def proxy(s3_server: Any) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(s3_server.credentials.endpoint_url)
    yield proxy
    proxy.close()


@pytest.fixture
def store(s3_server: Any, proxy: FaultyProxy) -> Store:
    """A bucket behind the proxy that holds `there`."""
    bucket = s3_server.make_bucket()
    credentials = replace(s3_server.credentials, endpoint_url=proxy.url)
    store = Store(f"s3://{bucket}", credentials, QUICK)
    store.put("there", BODY)
    proxy.seen.clear()
    return store


def for_fault(store: Store, fault: Fault) -> Store:
    """Return the store with as much patience as the fault needs: none to wait for silence."""
    return Store(store.url, store._credentials, HASTY) if fault in {"silence", "stall"} else store


def save(store: Store) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "copy"
        store.save("there", len(BODY), "", target)
        return target.read_bytes()


CALLS: dict[str, Call] = {
    "put": lambda store: store.put("new", b"content"),
    "put_named_by_content": lambda store: store.put_named_by_content("x", ".bin", b"content"),
    "get": lambda store: store.get("there") == BODY,
    "save": lambda store: save(store) == BODY,
    "head": lambda store: store.head("there"),
    "keys": lambda store: store.keys(""),
    "delete": lambda store: store.delete("there"),
}
EXPECTED: dict[str, Callable[[object], bool]] = {
    "put": lambda found: found is None,
    "put_named_by_content": lambda found: found == digest_bytes(b"content"),
    "get": lambda found: found is True,
    "save": lambda found: found is True,
    "head": lambda found: found is not None,
    "keys": lambda found: found == ["there"],
    "delete": lambda found: found is None,
}


@pytest.mark.parametrize("fault", [500, 503, 429, 408, "reset", "silence", "lost"])
@pytest.mark.parametrize("name", CALLS)
def test_a_failure_that_passes_is_not_seen(
    store: Store, proxy: FaultyProxy, name: str, fault: Fault
) -> None:
    proxy.faults = [fault]

    assert EXPECTED[name](CALLS[name](for_fault(store, fault)))

    first, second = proxy.seen[:2]
    assert first == second


@pytest.mark.parametrize("fault", ["cut", "broken", "stall"])
@pytest.mark.parametrize("name", ["get", "save"])
def test_a_body_that_breaks_off_is_taken_up_where_it_broke(
    store: Store, proxy: FaultyProxy, name: str, fault: str
) -> None:
    proxy.faults = [fault, fault]

    assert CALLS[name](for_fault(store, fault))

    assert len(proxy.seen) == 3


def test_what_changes_while_it_is_read_is_not_joined_from_two_objects(
    store: Store, proxy: FaultyProxy, s3_server: Any
) -> None:
    def change_then_break(
        request: BaseHTTPRequestHandler, body: bytes, fault: Fault | None
    ) -> None:
        forward(request, body, fault)
        bucket = store.url.removeprefix("s3://")
        s3_server.client.put_object(Bucket=bucket, Key="there", Body=BODY[::-1])

    forward = proxy.forward
    proxy.forward = change_then_break  # type: ignore[method-assign]  # a fault of its own
    proxy.faults = ["broken"]

    with pytest.raises((StoreUnavailableError, ObjectChangedError)):
        store.get("there")


@pytest.mark.parametrize("fault", [503, "reset", "lost"])
@pytest.mark.parametrize("place", range(4))
def test_an_upload_in_parts_survives_a_failure_of_each_request(
    store: Store, proxy: FaultyProxy, fault: Fault, place: int
) -> None:
    data = bytes(PART_BYTES) + b"the rest"  # begin, two parts, end
    proxy.faults = [*("none" for _ in range(place)), fault]

    store.put("large", data)

    assert store.get("large") == data


@pytest.mark.parametrize(
    ("name", "status"),
    [
        (name, status)
        for name in CALLS
        for status in (400, 403, 404)
        if status != 404 or name not in {"head", "delete"}  # to these it is an answer
    ],
)
def test_a_refusal_is_final(store: Store, proxy: FaultyProxy, name: str, status: int) -> None:
    proxy.faults = [status] * 9

    with pytest.raises((StoreUnavailableError, MissingObjectError)) as caught:
        CALLS[name](store)

    assert isinstance(
        caught.value, StoreRefusedError | MissingObjectError
    )  # no step tries it again
    assert len(proxy.seen) == 1
    assert "; " in str(caught.value)  # a cure


@pytest.mark.parametrize(
    ("status", "cure"),
    [
        (403, r"403 Forbidden.*check CLOUDFLARE_R2_ACCESS_KEY_ID"),
        (400, r"400 Bad Request.*check CLOUDFLARE_R2_ENDPOINT_URL, ASTRID_STORE_REGION"),
        (503, r"503 Service Unavailable \(Code503\) after 4 tries; .*run it again later"),
        (
            "reset",
            r"http://127\.0\.0\.1:\d+ gives no answer after 4 tries; check CLOUDFLARE_R2_END",
        ),
    ],
)
def test_what_stays_is_told_with_its_cause_and_cure(
    store: Store, proxy: FaultyProxy, status: Fault, cure: str
) -> None:
    proxy.faults = [status] * 99

    with pytest.raises(StoreUnavailableError, match=rf"^cannot read there in s3://.*: .*{cure}"):
        store.get("there")


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *((name, fault) for name in CALLS for fault in (403, 503, "reset")),
        ("get", "silence"),
        ("get", "cut"),
        ("save", "cut"),
    ],
)
def test_no_key_is_told_by_any_failure(
    store: Store, proxy: FaultyProxy, name: str, fault: Fault
) -> None:
    proxy.faults = [fault] * 99

    with pytest.raises(StoreUnavailableError) as caught:
        CALLS[name](for_fault(store, fault))

    told = "".join(traceback.format_exception(caught.value)) + repr(store)
    assert "key-of-tests" not in told
    assert "secret-of-tests" not in told


@pytest.mark.parametrize("name", CALLS)
def test_a_dead_server_is_known_soon(s3_server: Any, name: str) -> None:
    nowhere = replace(s3_server.credentials, endpoint_url=f"http://127.0.0.1:{free_port(None)}")
    store = Store("s3://bucket", nowhere, QUICK)
    before = time.monotonic()

    with pytest.raises(StoreUnavailableError, match="gives no answer after 4 tries"):
        CALLS[name](store)

    assert time.monotonic() - before < QUICK.retry_s


@pytest.mark.parametrize("size", [7, PART_BYTES + 7])
def test_nothing_is_sent_that_r2_refuses(store: Store, proxy: FaultyProxy, size: int) -> None:
    proxy.headers.clear()

    store.put_named_by_content("x", ".bin", bytes(size))

    sent = {name for headers in proxy.headers for name in headers}
    refused = ("x-amz-acl", "x-amz-tagging", "x-amz-checksum", "x-amz-sdk", "x-amz-trailer")
    assert not [name for name in sent if name.startswith(refused)]
    assert all("/auto/s3/" in headers["authorization"] for headers in proxy.headers)
    assert all(headers["host"] in proxy.url for headers in proxy.headers)


def test_half_a_pair_of_keys_is_refused(s3_server: Any) -> None:
    half = replace(s3_server.credentials, secret_access_key=None)

    with pytest.raises(
        ValueError, match="CLOUDFLARE_R2_SECRET_ACCESS_KEY only one is set; set both"
    ):
        Store("s3://bucket", half)
