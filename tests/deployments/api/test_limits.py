"""Who asks too much or sends too much is told so, by a real server, before it costs anything."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from inspect import signature
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
import uvicorn
from sqlalchemy import Engine
from starlette.requests import Request

from astrid_training.api_tokens import create_token
from deployments.api import Limits, create_app, service
from deployments.api.limits import MOST_KNOWN, Gate, address_of
from deployments.api_command import api as api_command
from tests.deployments.api.conftest import settings_of

pytestmark = pytest.mark.trust

LIMITS = Limits(per_token=6, per_address=20, body_bytes=4096)
LIST, COLLECT = "/training/datasets", "/training/datasets/collect"
MEGABYTE = 1024 * 1024


@pytest.fixture
def served(
    empty_database: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The address of the API on a server of its own, with narrow limits in whose minute no time passes."""
    monkeypatch.setattr(service, "Gate", partial(Gate, clock=lambda: 0.0))
    app = create_app(settings_of(empty_database, tmp_path), limits=LIMITS)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=20)


def client_of(engine: Engine, url: str, name: str, source: str = "") -> httpx.Client:
    """A client with a token, that a proxy on this machine says to come from `source`."""
    token = create_token(engine, f"{name}-{time.monotonic_ns()}", ["read", "collect"], "tester")
    headers = {"Authorization": f"Bearer {token}"}
    if source:
        headers["X-Forwarded-For"] = source
    return httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=20)


def test_a_token_that_asks_too_often_waits_and_others_do_not(
    served: str, empty_database: Engine
) -> None:
    with (
        client_of(empty_database, served, "eager", "192.0.2.1") as eager,
        client_of(empty_database, served, "calm", "192.0.2.2") as calm,
    ):
        answers = [eager.get(LIST) for _ in range(8)]
        elsewhere = eager.get(LIST, headers={"X-Forwarded-For": "192.0.2.3"})
        assert calm.get(LIST).status_code == 200

    assert [one.status_code for one in answers] == [200] * 6 + [429] * 2
    assert elsewhere.status_code == 429
    told = answers[-1].json()
    assert told["type"] == "urn:astrid-training:problem:too-many"
    wait = int(answers[-1].headers["Retry-After"])
    assert 1 <= wait <= 10  # six a minute
    assert f"ask again in {wait} s" in told["detail"]


def test_an_address_that_tries_tokens_waits_and_its_good_token_with_it(
    served: str, empty_database: Engine
) -> None:
    with client_of(empty_database, served, "guesser", "2001:db8:7::1") as guesser:
        guesses = [
            guesser.get(LIST, headers={"Authorization": f"Bearer astrid_{n}"}) for n in range(22)
        ]
        good = guesser.get(LIST)
        neighbour = guesser.get(LIST, headers={"X-Forwarded-For": "2001:db8:7::2"})
        other = guesser.get(LIST, headers={"X-Forwarded-For": "2001:db8:8::1"})

    assert [one.status_code for one in guesses] == [401] * 20 + [429] * 2
    assert (good.status_code, neighbour.status_code, other.status_code) == (429, 429, 200)


def test_all_at_once_are_counted_too(served: str, empty_database: Engine) -> None:
    with (
        client_of(empty_database, served, "many", "192.0.2.9") as many,
        ThreadPoolExecutor(8) as pool,
    ):
        codes = [one.status_code for one in pool.map(lambda _: many.get(LIST), range(18))]

    assert (codes.count(200), codes.count(429)) == (6, 12)


def sent_until_told(url: str, headers: dict[str, str], piece: bytes) -> tuple[bytes, int]:
    """Send pieces of a body until the server has answered and closed; return answer and bytes sent."""
    deadline = time.monotonic() + 30
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        lines = [f"POST {COLLECT} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        sent, answer = 0, b""
        connection.settimeout(0.05)
        while True:
            assert sent < 16 * MEGABYTE, "what was refused is read"
            assert time.monotonic() < deadline, "what was refused is waited for"
            try:
                connection.sendall(piece)
                sent += len(piece)
                answer += connection.recv(65536)
                if not answer:
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    return answer, sent


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "in chunks"])
@pytest.mark.parametrize("with_token", [True, False], ids=["with a token", "without a token"])
def test_a_body_without_end_is_refused_and_not_read(
    served: str, empty_database: Engine, *, declared: bool, with_token: bool
) -> None:
    with client_of(empty_database, served, "sender") as client:
        authorization = client.headers["Authorization"] if with_token else "Bearer astrid_no"
    length = {"Content-Length": str(10**12)} if declared else {"Transfer-Encoding": "chunked"}
    block = b"x" * 16384
    piece = block if declared else b"%x\r\n%s\r\n" % (len(block), block)
    headers = {"Authorization": authorization, "Content-Type": "application/json", **length}
    answer, sent = sent_until_told(served, headers, piece)

    assert answer.startswith(b"HTTP/1.1 413 "), answer
    assert b"urn:astrid-training:problem:too-large" in answer
    assert b"send at most 4096 bytes" in answer
    assert sent < 16 * MEGABYTE  # what sockets hold
    with client_of(empty_database, served, "next", "192.0.2.20") as client:
        assert client.get("/health").status_code == 200


def test_what_the_command_offers_is_what_the_router_takes() -> None:
    usual, offered = Limits(), signature(api_command).parameters
    assert offered["token_rate"].default == usual.per_token
    assert offered["address_rate"].default == usual.per_address
    assert offered["body_kb"].default * 1024 == usual.body_bytes


@pytest.mark.parametrize("wrong", [{"per_token": -1}, {"per_address": -1}, {"body_bytes": 0}])
def test_limits_that_limit_nothing_by_mistake_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="0 for no limit"):
        Limits(**wrong)


def test_a_bucket_fills_again_as_time_goes_and_no_further() -> None:
    now = [0.0]
    gate = Gate(Limits(per_token=60), lambda: now[0])
    assert [gate.wait_of_caller("ada") for _ in range(61)] == [0] * 60 + [1]
    now[0] += 2.0
    assert [gate.wait_of_caller("ada") for _ in range(3)] == [0, 0, 1]
    now[0] += 3600
    assert [gate.wait_of_caller("ada") for _ in range(61)].count(0) == 60


def test_no_limit_lets_all_in_and_many_addresses_take_no_more_memory() -> None:
    free = Gate(Limits(per_token=0, per_address=0))
    assert not any(free.wait_of_caller("ada") for _ in range(10_000))
    gate = Gate(Limits(per_token=1))
    for number in range(MOST_KNOWN + 100):
        gate.wait_of_caller(str(number))
    assert len(gate._tokens._left) == MOST_KNOWN
    assert gate.wait_of_caller(str(MOST_KNOWN + 99)) > 0


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
    ],
)
def test_an_address_counts_as_whose_it_is(host: str, counted: str) -> None:
    scope: Any = {"type": "http", "client": (host, 1), "headers": []}
    assert address_of(Request(scope)) == counted
