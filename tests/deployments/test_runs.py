"""Following a run survives a restart of the server and tells what keeps the run waiting."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun, State, TaskRun
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Completed, Pending, Running, Scheduled

from deployments import runs
from deployments.runs import FinishedRun, start_run
from tasks.deployment_runs import COLLECTION, ServerUnavailableError
from tests.faulty_proxy import FaultyProxy

RUN = uuid4()
GONE = httpx.ConnectError("refused")


def answered(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://server/api")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(status))


class Server:
    """Answers as it is told, one answer a look, the last for ever."""

    def __init__(self, answers: Iterable[State[Any] | Exception], steps: int = 0) -> None:
        self.answers = list(answers)
        self.steps = [
            TaskRun(id=uuid4(), name=f"step-{number}", dynamic_key=str(number), task_key="t")
            for number in range(steps)
        ]

    def read_flow_run(self, run_id: UUID) -> FlowRun:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return FlowRun(id=run_id, flow_id=uuid4(), name="run", state=answer, state_name=answer.name)

    def read_task_runs(self, *, limit: int, offset: int, **_filters: object) -> list[TaskRun]:
        return self.steps[offset : offset + limit]


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "POLL_S", 0.01)
    monkeypatch.setattr(runs, "SILENCE_S", 0.3)
    monkeypatch.setattr(runs, "PICKUP_S", 0.0)


def follow(server: Server) -> tuple[FinishedRun, list[str]]:
    said: list[str] = []
    watch = runs._Watch(cast("Any", server), RUN, said.append)
    return watch.to_its_end(), said


@pytest.mark.parametrize(
    "error",
    [GONE, httpx.ReadTimeout(""), httpx.RemoteProtocolError(""), answered(503), answered(500)],
)
def test_a_server_that_comes_back_is_waited_for(error: Exception) -> None:
    run, _ = follow(Server([Running(), error, error, error, Completed(message="well")]))

    assert (run.id, run.completed, run.message) == (str(RUN), True, "well")


@pytest.mark.parametrize("error", [GONE, answered(503)])
def test_a_server_that_stays_away_ends_the_command_and_not_the_run(error: Exception) -> None:
    with pytest.raises(ServerUnavailableError, match=f"{RUN} goes on"):
        follow(Server([Running(), error]))


def test_an_answer_that_stays_the_same_is_not_waited_for() -> None:
    with pytest.raises(httpx.HTTPStatusError):
        follow(Server([Running(), answered(422)]))


@pytest.mark.parametrize("waiting", [Scheduled(scheduled_time=datetime.now(UTC)), Pending()])
def test_a_run_that_no_worker_takes_is_told_once_with_the_cure(waiting: State[Any]) -> None:
    _, said = follow(Server([waiting] * 5 + [Running(), Completed()]))

    assert sum("astrid-training status" in line for line in said) == 1


def test_a_run_that_a_worker_took_is_not_said_to_wait() -> None:
    _, said = follow(Server([Running(), Running(), Completed()]))

    assert not [line for line in said if "worker" in line]


def test_every_step_is_told_once_however_many_there_are() -> None:
    server = Server([Running(), Running(), Completed()], steps=450)

    _, said = follow(server)

    told = [line.split(":")[0].strip() for line in said if "step-" in line]
    assert sorted(told) == sorted(step.name for step in server.steps)


def test_a_server_with_too_much_to_do_is_told_with_the_cure() -> None:
    busy = FaultyProxy("http://127.0.0.1:9")
    busy.draw = lambda: 503
    with (
        temporary_settings({PREFECT_API_URL: f"{busy.url}/api", PREFECT_CLIENT_MAX_RETRIES: 0}),
        pytest.raises(ServerUnavailableError, match=r"answers 503 .*try again in a minute"),
    ):
        start_run(COLLECTION, {}, lambda _line: None)
    busy.close()
