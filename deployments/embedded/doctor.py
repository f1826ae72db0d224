"""Look at everything a collection needs, change nothing, and say the cure of what ails."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

import httpx
from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError, ProgrammingError

from astrid_training.database import check_database, open_database, query
from astrid_training.errors import (
    DatabaseRightsError,
    DatabaseUnavailableError,
    MissingObjectError,
)
from astrid_training.formats import later_formats
from astrid_training.migrate import migrations
from astrid_training.optional_indexes import index_states
from astrid_training.packs import FORMAT_VERSION
from astrid_training.patience import BRIEF
from astrid_training.settings import ENVIRONMENT, Settings
from astrid_training.store import StoreUnavailableError, open_store
from astrid_training.urls import mask_url
from deployments.console import LET_IN
from deployments.embedded.parts import POOL, authorization, is_far, tracking_authorization

__all__ = ["Check", "checks"]

PROBE = "doctor/probe"
TIMEOUT_S = 5.0
ROLE_FILE = "sql/roles/astrid_training.sql"
RESTART = "`astrid-training down`, then `up`"
OLDEST_POSTGRES = 14  # docs/reference/compatibility.md says which were tried


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    """What was found; no passwords."""
    cure: str = ""
    """What to do, where it is not ok; what would be better, where it is."""

    @property
    def level(self) -> str:
        """`ok`, `hint` (it works, and the cure would make it better) or `WRONG`."""
        if not self.ok:
            return "WRONG"
        return "hint" if self.cure else "ok"

    def to_dict(self) -> dict[str, Any]:
        """Return what machines read."""
        return {
            "name": self.name,
            "ok": self.ok,
            "level": self.level.lower(),
            "detail": self.detail,
            "cure": self.cure,
        }


def checks(settings: Settings) -> list[Check]:
    """Return every check of these settings; the only thing written is a probe in the store."""
    return [
        *_sources(settings),
        _packages(),
        *_database(settings),
        _store(settings),
        *_source_bucket(settings),
        *_prefect(settings),
        _mlflow(settings),
    ]


def _sources(settings: Settings) -> Iterator[Check]:
    shown = settings.shown()
    for name in ENVIRONMENT:
        if name in shown:
            yield _good(f"setting {name}", f"{shown[name]} ({settings.sources[name]})")


def _packages() -> Check:
    """Compare what is installed with our own ranges: a newer one can fail late and in silence."""
    wrong = []
    for line in requires("astrid-training") or []:
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(needed.name)
        except PackageNotFoundError:
            wrong.append(f"{needed.name} is missing")
            continue
        if not needed.specifier.contains(found, prereleases=True):
            wrong.append(f"{needed.name} {found} is outside {needed.specifier}")
    cure = "pip install -c constraints.txt -e ."
    if wrong:
        return _bad("packages", "; ".join(wrong), cure)
    return _good("packages", f"as required; prefect {version('prefect')}")


def _database(settings: Settings) -> Iterator[Check]:
    url = settings.get("database_url")
    if url is None:
        yield _missing("database", "database_url")
        return
    engine = open_database(url)
    try:
        check_database(engine)
    except DatabaseUnavailableError as error:
        yield _bad("database", str(error), _cure_of("database_url"))
        return
    with engine.connect() as connection:
        number = connection.dialect.server_version_info or ()
    found = f"PostgreSQL {'.'.join(map(str, number))} answers"
    if number and number[0] < OLDEST_POSTGRES:
        cure = f"upgrade the server; {OLDEST_POSTGRES} is the oldest that this version knows"
        yield _bad("database", found, cure)
    else:
        yield _good("database", found)
    migrated = _migrated(engine)
    yield migrated
    if migrated.ok:
        rights = _rights(engine)
        yield rights
        if rights.ok:
            yield _formats(engine)
        yield from _indexes(engine)


def _migrated(engine: Engine) -> Check:
    cure = "run `astrid-training migrate`"
    known = migrations()
    try:
        with engine.connect() as connection:
            done = {
                step.name: connection.execute(
                    query("migration_done"), {"number": step.number}
                ).one_or_none()
                for step in known
            }
            numbers = {"known": [step.number for step in known]}
            newer = connection.execute(query("migration_unknown"), numbers).scalars().all()
    except DatabaseRightsError as error:
        return _bad("migrations", str(error), f"let the owner run {ROLE_FILE}")
    except (ProgrammingError, OperationalError) as error:
        cause = str(error.orig).strip().splitlines()[0]
        return _bad("migrations", f"none is recorded: {cause}", cure)
    if newer:
        what = f"applied by a newer version: {', '.join(newer)}"
        return _bad("migrations", what, "install the version that applied them")
    changed = [step.name for step in known if (row := done[step.name]) and row[1] != step.digest]
    if changed:
        what = f"applied with another text: {', '.join(changed)}"
        return _bad("migrations", what, "install the version that applied them")
    if missing := [name for name, row in done.items() if row is None]:
        return _bad("migrations", f"not applied: {', '.join(missing)}", cure)
    return _good("migrations", f"all {len(known)} applied")


def _formats(engine: Engine) -> Check:
    if later := later_formats(engine):
        told = ", ".join(f"{number} of format {form}" for form, number in later.items())
        return _bad(
            "store format",
            f"this version reads up to {FORMAT_VERSION}; of the datasets are {told}",
            "install the version that collected them",
        )
    return _good("store format", f"{FORMAT_VERSION}, what this version reads")


def _rights(engine: Engine) -> Check:
    with engine.connect() as connection:
        lacking = connection.execute(query("database_rights")).scalars().all()
    role = f"the role {engine.url.username}"
    if lacking:
        cure = f"let the owner of AstrID's tables run {ROLE_FILE}"
        return _bad("database rights", f"{role} lacks {', '.join(lacking)}", cure)
    return _good("database rights", f"{role} reads AstrID's tables and writes ours")


def _indexes(engine: Engine) -> Iterator[Check]:
    with engine.connect() as connection:
        states = index_states(connection)
    for one in states:
        name = f"optional index on {one.index.table} ({one.index.column})"
        if one.state in {"absent", "broken"}:
            yield Check(
                name, ok=True, detail=f"{one.state}: {one.index.purpose.rstrip('.')}", cure=one.cure
            )
    serving = sum(one.state == "present" for one in states)
    yield _good("optional indexes", f"{serving} of {len(states)} there")


def _store(settings: Settings) -> Check:
    try:
        store = open_store(settings, BRIEF)
        store.put(PROBE, b"written by doctor")
        store.get(PROBE)
        store.delete(PROBE)
    except (StoreUnavailableError, MissingObjectError, OSError, ValueError) as error:
        return _bad("store", str(error), "do what it says; the settings above are what was tried")
    return _good("store", f"{settings.store_url} takes, gives back and removes an object")


def _source_bucket(settings: Settings) -> Iterator[Check]:
    """Ask for an object that is not there: a bucket that may be read says just that."""
    bucket = settings.source_bucket
    if bucket is None:
        return
    try:
        with suppress(MissingObjectError):
            open_store(settings, BRIEF, f"s3://{bucket}").get(PROBE)
    except (StoreUnavailableError, ValueError) as error:
        yield _bad("source bucket", str(error), _cure_of("source_bucket"))
    else:
        yield _good("source bucket", f"{bucket} can be read")


def _prefect(settings: Settings) -> Iterator[Check]:
    api = settings.get("prefect_api_url")
    if api is None:
        yield _missing("Prefect server", "prefect_api_url")
        return
    silence = _why_silent(f"{api}/health", authorization())
    if silence:
        yield _bad("Prefect server", silence, _cure_of("prefect_api_url"))
        return
    reply = _get(f"{api}/admin/version", authorization())  # health is told to everybody
    if reply.status_code == httpx.codes.UNAUTHORIZED:
        yield _bad("Prefect server", f"{mask_url(api)} wants another password", LET_IN)
        return
    ours, theirs = version("prefect"), _version_told(reply)
    detail = f"{mask_url(api)} is healthy; server {theirs or 'of no known version'}, client {ours}"
    cure = _cure_of_version("prefect", ours, api)
    same = ours == str(theirs)
    yield _good("Prefect server", detail) if same else _bad("Prefect server", detail, cure)
    if theirs is None:
        return
    yield _worker(api)
    yield _blocks(settings, api)


def _blocks(settings: Settings, api: str) -> Check:
    """Compare what flows use with what the settings say, field by field; no value is told."""
    wrong = []
    for slug, wanted in _wanted_blocks(settings).items():
        url = f"{api}/block_types/slug/{slug}/block_documents/name/astrid?include_secrets=true"
        reply = _get(url, authorization())
        if reply.status_code == 404:
            wrong.append(f"{slug}/astrid is not saved")
            continue
        kept = reply.json()["data"] if reply.is_success else {}
        wrong += [
            f"{slug}/astrid: {name}" for name, value in wanted.items() if kept.get(name) != value
        ]
    if wrong:
        cure = "run `astrid-training bootstrap`, or correct the settings"
        return _bad("blocks", f"not what the settings say: {', '.join(wrong)}", cure)
    return _good("blocks", "what the settings say")


def _wanted_blocks(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return slug -> field -> value of what a bootstrap would save."""
    store = {"url": settings.store_url, "source_bucket": settings.source_bucket}
    wanted: dict[str, dict[str, Any]] = {
        "astrid-database": {"url": settings.get("database_url")},
        "astrid-store": store
        | {"source_hosts": settings.source_hosts, "source_folders": settings.source_folders},
        "astrid-tracking-server": {"uri": settings.get("mlflow_tracking_uri")},
    }
    if settings.store_access_key_id or settings.store_secret_access_key:
        wanted["aws-credentials"] = {
            "aws_access_key_id": settings.store_access_key_id,
            "aws_secret_access_key": settings.store_secret_access_key,
        }
    if settings.notify_url:
        wanted["astrid-notifier"] = {"url": settings.notify_url}
    return wanted


def _worker(api: str) -> Check:
    url = f"{api}/work_pools/{POOL}/workers/filter"
    try:
        reply = httpx.post(
            url, json={}, headers=authorization(), timeout=TIMEOUT_S, trust_env=is_far(url)
        )
    except httpx.HTTPError as error:
        silence = f"{mask_url(url)} does not answer: {error}"
        return _bad("worker", silence, _cure_of("prefect_api_url"))
    workers = reply.json() if reply.is_success else []
    online = [worker["name"] for worker in workers if worker["status"] == "ONLINE"]
    detail = f"{len(online)} online in pool {POOL}"
    return _good("worker", detail) if online else _bad("worker", detail, "run `astrid-training up`")


def _mlflow(settings: Settings) -> Check:
    uri = settings.get("mlflow_tracking_uri")
    if uri is None:
        return _missing("MLflow", "mlflow_tracking_uri")
    if not uri.startswith("http"):
        return _good("MLflow", f"{settings.shown()['mlflow_tracking_uri']} is no server")
    silence = _why_silent(f"{uri}/health")
    if silence:
        return _bad("MLflow", silence, _cure_of("mlflow_tracking_uri"))
    reply = _get(f"{uri}/version", tracking_authorization())  # health is told to everybody
    if reply.status_code == httpx.codes.UNAUTHORIZED:
        cure = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        return _bad("MLflow", f"{mask_url(uri)} wants another password", cure)
    ours, theirs = version("mlflow"), _version_told(reply)
    detail = f"healthy; server {theirs or 'of no known version'}, client {ours}"
    cure = _cure_of_version("mlflow", ours, uri)
    if theirs is None or theirs.major != Version(ours).major:  # its REST interface holds within one
        return _bad("MLflow", detail, cure)
    older = theirs.release[:2] < Version(ours).release[:2]
    return Check("MLflow", ok=True, detail=detail, cure=cure if older else "")


def _version_told(reply: httpx.Response) -> Version | None:
    """Return the version that a server tells as text or as JSON; None if it tells none."""
    try:
        return Version(reply.text.strip().strip('"')) if reply.is_success else None
    except InvalidVersion:
        return None


def _cure_of_version(package: str, ours: str, url: str) -> str:
    where = f"install {package}=={ours} where the server runs" if is_far(url) else RESTART
    return f"run the server with the client's version: {where}"


def _get(url: str, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.get(url, headers=headers, timeout=TIMEOUT_S, trust_env=is_far(url))


def _why_silent(url: str, headers: dict[str, str] | None = None) -> str:
    """Return why a GET does not succeed, or nothing."""
    try:
        reply = _get(url, headers)
    except httpx.HTTPError as error:
        return f"{mask_url(url)} does not answer: {error}"
    return "" if reply.is_success else f"{mask_url(url)} answers {reply.status_code}"


def _good(name: str, detail: str) -> Check:
    return Check(name, ok=True, detail=detail)


def _bad(name: str, detail: str, cure: str) -> Check:
    return Check(name, ok=False, detail=detail, cure=cure)


def _missing(name: str, setting: str) -> Check:
    return _bad(name, f"{setting} has no value", _cure_of(setting))


def _cure_of(setting: str) -> str:
    return f"run `astrid-training up`, or correct {ENVIRONMENT[setting]}"
