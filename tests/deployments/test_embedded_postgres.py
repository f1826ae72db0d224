"""The cluster survives kills and stale files, and never hides that its data are gone.

One cluster serves all tests of this file, in the order in which they stand.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deployments.embedded import postgres
from deployments.embedded.parts import Mlflow
from deployments.embedded.processes import StackError, find_process, free_port, spawn, stop
from deployments.embedded.stack import discard, up
from deployments.embedded.starter import Starter


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("home")
    (place / "run").mkdir()
    yield place
    discard(place)


class Server:
    """A cluster of its own, on a port of its own."""

    def __init__(self, home: Path) -> None:
        self.log = home / "logs" / "postgres.log"
        self.cluster = postgres.prepare(home)
        self.port = free_port(None)

    def start(self) -> None:
        self.record = postgres.start(self.cluster, self.port, {}, self.log)
        deadline = time.monotonic() + 20
        while not postgres.answers(self.cluster, self.port):
            assert find_process(self.record), self.log.read_text()
            assert time.monotonic() < deadline

    def run(self, statement: str) -> list[tuple[object, ...]]:
        url = postgres.cluster_url(self.cluster, self.port).replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as connection:
            done = connection.execute(statement)
            return done.fetchall() if done.description else []


@pytest.fixture(scope="module")
def server(home: Path) -> Server:
    made = Server(home)
    made.start()
    return made


def stop_all(cluster: postgres.Cluster) -> None:
    while found := postgres.servers(cluster):
        stop(found, postgres.FAST_SHUTDOWN, postgres.GRACE_S)


def test_a_killed_server_starts_again_though_its_pid_is_now_another_process(server: Server) -> None:
    server.run("CREATE TABLE kept AS SELECT 7 AS value")
    os.kill(server.record.pid, signal.SIGKILL)
    while any(each.pid == server.record.pid for each in postgres.servers(server.cluster)):
        time.sleep(0.02)
    stop(postgres.servers(server.cluster), signal.SIGTERM, grace_s=5)  # backends outlive it a bit
    stale = server.cluster.data / "postmaster.pid"
    lines = stale.read_text().splitlines()
    other = spawn(["sleep", "60"], {}, server.log, Path("/"), server.cluster.account)
    stale.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")

    server.start()

    assert server.run("SELECT value FROM kept") == [(7,)]
    os.kill(other.pid, signal.SIGKILL)


def test_a_second_server_on_data_that_one_has_open_is_refused(server: Server) -> None:
    pid_file = server.cluster.data / "postmaster.pid"

    with pytest.raises(StackError, match=f"process {server.record.pid} is a PostgreSQL server"):
        postgres.start(server.cluster, free_port(None), {}, server.log)

    assert pid_file.read_text().startswith(f"{server.record.pid}\n")
    assert server.run("SELECT 1") == [(1,)]


def test_names_sort_alike_on_every_machine(server: Server) -> None:
    names = "(VALUES ('b'), ('A'), ('ä'), ('a'), ('B'))"

    found = server.run(f"SELECT string_agg(n, '' ORDER BY n) FROM {names} AS names (n)")

    assert found == [("ABabä",)]


def test_no_folder_above_the_data_is_opened_and_the_data_are_private(home: Path) -> None:
    home.chmod(0o700)

    cluster = postgres.prepare(home)

    assert home.stat().st_mode & 0o077 == 0
    assert cluster.data.stat().st_mode & 0o077 == 0
    assert cluster.folder.stat().st_mode & 0o077 == 0
    if os.geteuid() == 0:
        assert cluster.folder.stat().st_uid != 0
        assert not cluster.folder.is_relative_to(home)
    else:
        assert cluster.folder == home / "postgres"
    assert "password" not in {path.name for path in cluster.folder.iterdir()}


def test_data_that_are_gone_are_not_replaced_by_an_empty_database(
    server: Server, home: Path
) -> None:
    cluster = server.cluster
    stop_all(cluster)
    cluster.data.rename(cluster.folder / "elsewhere")

    with pytest.raises(StackError, match="are gone; put them back"):
        postgres.prepare(home)

    (cluster.folder / "elsewhere").rename(cluster.data)
    server.start()
    assert server.run("SELECT value FROM kept") == [(7,)]


def test_a_cluster_half_made_is_made_anew(server: Server, home: Path) -> None:
    cluster = server.cluster
    stop_all(cluster)
    cluster.data.rename(cluster.folder / "data.partial")
    (home / "postgres" / "made").unlink()

    assert postgres.prepare(home).password == cluster.password

    server.start()
    assert server.run("SELECT to_regclass('kept')") == [(None,)]
    assert not (cluster.folder / "data.partial").exists()


def test_discard_deletes_the_data_wherever_they_lie(server: Server, home: Path) -> None:
    cluster = server.cluster

    discard(home)

    assert postgres.servers(cluster) == []
    assert not cluster.folder.exists()
    assert not (home / "postgres").exists()


def test_a_damaged_record_of_the_cluster_is_named(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "cluster.json").write_text("{}")

    with pytest.raises(StackError, match=r"cluster\.json is damaged"):
        postgres.prepare(tmp_path)


def test_a_home_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    tmp_path.chmod(0o777)

    with pytest.raises(StackError, match="others may write to"):
        up(tmp_path)


def test_a_part_that_cannot_start_is_named_with_the_end_of_its_log(home: Path) -> None:
    (home / "mlflow.db").write_text("this is no database")

    with pytest.raises(StackError, match=r"MLflow ended at its start(.|\n)*not a database"):
        Starter(home, print)._ensure(Mlflow(home))


@pytest.mark.parametrize(("server", "version"), [(0, 18), (14, 16), (16, 16), (17, 18), (99, 18)])
def test_a_program_is_one_that_fits_the_server(server: int, version: int) -> None:
    program = postgres.client_program("pg_dump", server)
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)

    assert f"(PostgreSQL) {version}." in said.stdout
