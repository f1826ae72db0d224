"""Copies of what cannot be made again: the database, then the objects that it names."""

import os
import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from astrid_training.audit import record
from astrid_training.database import check_database, open_database, query
from astrid_training.gc import FOLDERS
from astrid_training.migrate import VERSIONS
from astrid_training.store import Store
from astrid_training.urls import mask_url, normalise
from astrid_training.users import user_name

__all__ = ["BackupError", "Copied", "back_up", "restore"]

DUMP = "database.dump"
OBJECTS = "objects"
AT_ONCE = 8  # objects in memory, about 60 MB each
MIGRATION = re.compile(r"^(\d+)\t\d{4}_", re.MULTILINE)
"""A row of the table of migrations, as a copy has it."""

Program = Callable[[str, int], Path]
"""Takes pg_dump or pg_restore and the server's major version, 0 if it does not answer, and returns where a
program is that fits: what a newer one writes, an older server may not take."""


class BackupError(RuntimeError):
    """A copy could not be made, or not be brought back."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What went over."""

    dump_bytes: int
    objects: int
    """That were not there yet."""
    object_bytes: int


def back_up(database_url: str, store: Store, folder: Path, program: Program) -> Copied:
    """Copy the database, then every object of ours, into a folder; again, only what is new.

    In this order every object that the copied rows name is copied: objects are written before the rows
    that name them, and are removed by nothing but `gc`, which must not run meanwhile.

    Args:
        database_url: of the whole database that is copied.
        store: whose survey files are not ours and not copied.
        folder: made if it is not there; nobody but its owner should read it.
        program: finds PostgreSQL's own programs.

    Raises:
        BackupError: if the database cannot be copied; nothing in the folder is replaced then.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = folder / f"{DUMP}.partial"
    dump = program("pg_dump", _version(database_url))
    command = [str(dump), "--format=custom", "--no-owner", "--no-privileges"]
    try:
        _run([*command, f"--file={partial}"], database_url)
        partial.replace(folder / DUMP)
    finally:
        partial.unlink(missing_ok=True)
    copied = _copy_objects(store, Store((folder / OBJECTS).absolute().as_uri()))
    return Copied((folder / DUMP).stat().st_size, *copied)


def restore(database_url: str, store: Store, folder: Path, program: Program) -> Copied:
    """Bring a database and its objects back; objects that are there stay, the database becomes the copy.

    The arguments are those of `back_up`.

    Raises:
        DatabaseUnavailableError: if PostgreSQL does not answer.
        BackupError: if there is no copy, or the database is newer or does not take it; it is as it
            was then.
    """
    dump = folder / DUMP
    if not dump.is_file():
        raise BackupError(f"no {dump}; give the folder that `astrid-training backup` wrote")
    reader = str(program("pg_restore", _version(database_url)))
    _check_not_newer(database_url, dump, reader)
    copied = _copy_objects(Store((folder / OBJECTS).absolute().as_uri()), store)
    command = [reader, "--clean", "--if-exists", "--no-owner"]
    _run([*command, "--single-transaction", "--no-privileges", str(dump)], database_url, into=True)
    _tell(database_url, folder)
    return Copied(dump.stat().st_size, *copied)


def _version(database_url: str) -> int:
    try:
        with open_database(normalise("database_url", database_url)).connect() as connection:
            return int((connection.dialect.server_version_info or (0,))[0])
    except OperationalError:  # the program will say why
        return 0


def _tell(database_url: str, folder: Path) -> None:
    """Say among who did what that all this is a copy, unless the copy is older than that table."""
    engine = open_database(database_url)
    with engine.begin() as connection:
        if connection.execute(query("migration_table_exists"), {"name": "training_audit"}).scalar():
            record(connection, "restored", folder.absolute().as_uri(), user_name(), {})


def _check_not_newer(database_url: str, dump: Path, reader: str) -> None:
    """Refuse a database with later migrations: what they made would stay, and be made once more."""
    rows = _run([reader, "--data-only", f"--table={VERSIONS}", "--file=-", str(dump)], database_url)
    known = {"known": [int(number) for number in MIGRATION.findall(rows)]}
    engine = open_database(database_url)
    check_database(engine)
    with engine.connect() as connection:
        if not connection.execute(query("migration_table_exists"), {"name": VERSIONS}).scalar_one():
            return
        later = connection.execute(query("migration_unknown"), known).scalars().all()
    if later:
        raise BackupError(
            f"the database is newer than the copy, which lacks {', '.join(later)}; restore into an "
            "empty database, as that of a new home is"
        )


def _copy_objects(source: Store, target: Store) -> tuple[int, int]:
    """Copy the objects that are absent, and return their number and bytes."""
    there = {info.key: info.size for name in FOLDERS for info in target.objects(name)}
    missing = [
        info
        for name in FOLDERS
        for info in source.objects(name)
        if there.get(info.key) != info.size
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda info: target.put(info.key, source.get(info.key)), missing))
    return len(missing), sum(info.size for info in missing)


def _run(command: list[str], database_url: str, *, into: bool = False) -> str:
    """Return what one of PostgreSQL's programs writes; the password goes by the environment, which no list shows."""
    url = make_url(database_url)
    places = {
        "PGHOST": url.host,
        "PGPORT": None if url.port is None else str(url.port),
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
    }
    given = {name: str(value) for name, value in places.items() if value is not None}
    to = [f"--dbname={url.database}"] if into else []
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own program
        [command[0], *to, *command[1:]],
        env=os.environ | given,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = " ".join(done.stderr.strip().splitlines()[-3:])
        raise BackupError(f"{Path(command[0]).name} failed for {mask_url(database_url)}: {said}")
    return done.stdout
