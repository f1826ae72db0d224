"""`up` heals what was killed, loses no data, and `down` leaves nothing behind.

One stack serves all tests of this file, in the order in which they stand.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from astrid_training.settings import DERIVED, ENVIRONMENT, resolve
from deployments.embedded import postgres
from deployments.embedded.doctor import checks
from deployments.embedded.stack import Status, discard, down, status, up

SERVERS = ("postgres", "prefect_server", "worker", "mlflow")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    outside = (*ENVIRONMENT.values(), DERIVED)
    with pytest.MonkeyPatch.context() as patch:
        for variable in outside:
            patch.delenv(variable, raising=False)
        place = tmp_path_factory.mktemp("homes") / "home"
        yield place
        discard(place)


@pytest.fixture
def running(home: Path) -> Status:
    """The stack, with a row that shall outlive whatever is done to it."""
    found = up(home)
    with connect(found) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value) AS VALUES (1)")
    return found


def pids(found: Status) -> dict[str, int | None]:
    return {name: found.parts[name].pid for name in SERVERS}


def kill(found: Status, part: str) -> None:
    pid = found.parts[part].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def connect(found: Status) -> psycopg.Connection[tuple[object, ...]]:
    assert found.database_url is not None
    return psycopg.connect(found.database_url.replace("+psycopg", ""), autocommit=True)


def rows(found: Status) -> list[object]:
    with connect(found) as connection:
        return [row[0] for row in connection.execute("SELECT value FROM kept ORDER BY value")]


def processes_of(home: Path) -> list[psutil.Process]:
    """Return every process but ours that mentions the home, or works on its database."""
    cluster = postgres.existing_cluster(home)
    places = [str(home)] + ([str(cluster.folder)] if cluster else [])
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values(), process.cwd()]
            alive = process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            continue
        if (
            alive
            and process.pid != os.getpid()
            and any(p in word for p in places for word in words)
        ):
            found.append(process)
    return found


def taken(port: int) -> socket.socket:
    """Return a listener on the port, waiting for its last owner to be gone."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_up_starts_every_part_and_says_when_each_answers(home: Path) -> None:
    said: list[str] = []

    found = up(home, said.append)

    assert {name: part.state for name, part in found.parts.items()} == dict.fromkeys(
        (*SERVERS, "store"), "running"
    )
    titles = {line.split(" answers")[0] for line in said if " answers (" in line}
    assert titles == {"PostgreSQL", "Prefect server", "Worker", "MLflow"}
    assert found.to_dict()["parts"]["postgres"]["pid"] == found.parts["postgres"].pid
    assert found.store_url == f"file://{home}/store"
    assert found.database_url is not None
    assert found.database_url.split(":")[2].split("@")[0] not in repr(found)


def test_every_address_answers_people_and_programs(running: Status) -> None:
    with connect(running) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
    assert "Prefect" in httpx.get(f"{running.prefect_ui_url}/", trust_env=False).text
    pool = httpx.get(f"{running.prefect_api_url}/work_pools/astrid-process", trust_env=False).json()
    assert pool["type"] == "process"
    experiments = httpx.post(
        f"{running.mlflow_tracking_uri}/api/2.0/mlflow/experiments/search",
        json={"max_results": 10},
        trust_env=False,
    )
    assert experiments.json()["experiments"][0]["name"] == "Default"


def test_only_this_machine_and_this_user_can_come_in(running: Status, home: Path) -> None:
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for process in processes_of(home)
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    ports = {part.port for part in running.parts.values() if part.port}
    assert {address for address, _ in listening} == {"127.0.0.1"}
    assert {port for _, port in listening} >= ports  # the worker has one for its runs besides
    assert running.database_url is not None
    wrong = running.database_url.replace("+psycopg", "").replace("astrid:", "astrid:x")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(wrong)
    assert home.stat().st_mode & 0o077 == 0
    for path in [home / "config.toml", *(home / "logs").iterdir(), *(home / "run").glob("*.json")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_second_up_returns_at_once_and_touches_nothing(running: Status, home: Path) -> None:
    begun = time.monotonic()

    again = up(home)

    assert pids(again) == pids(running)
    assert time.monotonic() - begun < 3


def test_the_resolver_knows_the_stack_without_being_told(running: Status, home: Path) -> None:
    settings = resolve(home)

    assert settings.database_url == running.database_url
    assert settings.prefect_ui_url == running.prefect_ui_url
    assert set(settings.sources.values()) == {"embedded default"}


def test_doctor_finds_all_well_but_the_missing_tables_and_blocks(
    running: Status, home: Path
) -> None:
    found = checks(resolve(home))

    ills = {check.name: check.cure for check in found if not check.ok}
    assert ills.pop("migrations") == "run `astrid-training migrate`"
    assert ills.pop("blocks").startswith("run `astrid-training bootstrap`")
    assert not ills
    password = resolve(home).database_url.split(":")[2].split("@")[0]
    assert password not in str(found)
    assert not list((home / "store").rglob("probe"))


@pytest.mark.parametrize(
    "part",
    ["postgres", "prefect_server", "worker", pytest.param("mlflow", marks=pytest.mark.slow)],
)
def test_a_killed_part_alone_is_started_again_and_nothing_is_lost(
    running: Status, home: Path, part: str
) -> None:
    kill(running, part)
    deadline = time.monotonic() + 10
    while status(home).parts[part].state == "running":
        assert time.monotonic() < deadline

    assert status(home).parts[part].state == "failed"
    healed = up(home)

    assert healed.is_running
    changed = {name for name in SERVERS if pids(healed)[name] != pids(running)[name]}
    assert changed == {part}
    assert healed.to_dict() | {"parts": {}} == running.to_dict() | {"parts": {}}
    assert rows(healed) == [1]


def test_two_starters_at_once_start_one_stack(running: Status, home: Path) -> None:
    kill(running, "postgres")

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(up, [home, home])

    assert one.is_running
    assert pids(one) == pids(other)


def test_a_copied_address_of_the_stack_is_still_the_stack(
    running: Status, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("database_url", "prefect_api_url", "mlflow_tracking_uri"):
        monkeypatch.setenv(ENVIRONMENT[name], running.to_dict()[name])

    assert pids(status(home)) == pids(running)


def test_a_real_part_replaces_the_embedded_one(
    running: Status, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASTRID_DATABASE_URL", "postgresql://me@real.example/astrid")
    monkeypatch.setenv("ASTRID_STORE_URL", "s3://real-bucket")

    found = up(home)

    assert found.parts["postgres"].state == found.parts["store"].state == "external"
    assert found.parts["postgres"].detail == "from environment ASTRID_DATABASE_URL"
    assert found.database_url == "postgresql+psycopg://me@real.example/astrid"
    assert found.parts["mlflow"].pid == running.parts["mlflow"].pid
    monkeypatch.undo()
    assert pids(up(home)) == pids(running)


def test_down_ends_every_process_and_forgets_the_addresses(running: Status, home: Path) -> None:
    assert {process.name() for process in processes_of(home)} >= {"postgres"}

    found = down(home)

    assert processes_of(home) == []
    assert {found.parts[name].state for name in SERVERS} == {"stopped"}
    assert found.database_url is found.prefect_api_url is found.mlflow_tracking_uri is None
    assert [check.name for check in checks(resolve(home)) if not check.ok] == [
        "database",
        "Prefect server",
        "MLflow",
    ]
    assert down(home) == found  # again: nothing to do


@pytest.mark.slow
def test_up_recovers_from_a_starter_killed_midway_and_from_a_taken_port(
    running: Status, home: Path
) -> None:
    before = running.parts["mlflow"].port
    assert before is not None
    code = "import sys; from deployments.embedded.stack import up; up(sys.argv[1])"
    starter = subprocess.Popen([sys.executable, "-c", code, str(home)], start_new_session=True)
    deadline = time.monotonic() + 60
    while status(home).parts["prefect_server"].pid is None:
        assert time.monotonic() < deadline
    starter.kill()
    starter.wait()
    for process in processes_of(home):
        with suppress(psutil.NoSuchProcess):  # a helper of the start that has ended by itself
            if "mlflow" in " ".join(process.cmdline()):
                process.kill()  # so that its port is free for someone else
    with taken(before):
        found = up(home)

    assert found.is_running
    assert found.parts["mlflow"].port != before
    assert resolve(home).mlflow_tracking_uri == f"http://127.0.0.1:{found.parts['mlflow'].port}"
    assert rows(found) == [1]


@pytest.mark.slow  # it starts all parts once more
def test_down_also_ends_what_it_has_no_record_of(running: Status, home: Path) -> None:
    (home / "run" / "stack.json").unlink()

    down(home)

    assert processes_of(home) == []
