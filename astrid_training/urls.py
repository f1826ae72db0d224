"""The addresses that people write, in the one form that the rest of the code reads."""

import re
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["mask_url", "normalise"]

POSTGRES = re.compile(r"^postgres(?:ql)?(?:\+(?P<driver>psycopg2?|asyncpg))?://")
# up to the last @ before a query: a password may hold @ and / that nobody escaped
PASSWORD = re.compile(r"(?<=://)([^:/@]*):[^@]*@(?:[^?#]*@)?")
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*)(:[0-9]{1,5})?")
NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
COUNT = re.compile(r"[1-9][0-9]{0,3}")
TOKEN = re.compile(r"(?<=http://)[^:/@?#]+@|(?<=https://)[^:/@?#]+@")  # a user alone is a key
IN_QUERY = re.compile(r"((?:password|secret|token|signature|credential)=)[^&#]*", re.IGNORECASE)


def mask_url(url: str) -> str:
    """Return `url` with its password, wherever it stands, replaced by asterisks."""
    return IN_QUERY.sub(r"\1***", TOKEN.sub("***@", PASSWORD.sub(r"\1:***@", url)))


def normalise(name: str, value: str) -> str:
    """Return `value` of the setting `name` in its usual form.

    Raises:
        ValueError: if its scheme is none that the setting takes; the message begins with the fault.
    """
    if name == "database_url":
        return _database(value)
    if name == "store_url":
        return _store(value)
    if name == "source_hosts":
        return _hosts(value)
    if name == "source_folders":
        return _folders(value)
    if name == "downloads_at_once":
        return _count(value)
    if name == "loader_cache_gb":
        return _gigabytes(value)
    if name in {"prefect_api_url", "prefect_ui_url", "store_endpoint_url"}:
        return _http(value)
    return value


def _database(url: str) -> str:
    scheme = POSTGRES.match(url)
    if scheme is None:
        raise ValueError(
            f"is {mask_url(url)!r}, which is no PostgreSQL address; "
            "write postgresql://user:password@host:5432/database"
        )
    rest = url[scheme.end() :]
    if scheme["driver"] == "asyncpg":  # AstrID's driver, which has its own word for sslmode
        rest = re.sub(r"([?&])ssl=", r"\1sslmode=", rest)
    return f"postgresql+psycopg://{rest}"


def _store(url: str) -> str:
    if url.startswith("/"):
        return Path(url).as_uri()
    parts = urlsplit(url)
    if parts.scheme in {"s3", "r2"} and parts.netloc:
        return f"s3://{parts.netloc}{parts.path}".rstrip("/")
    if parts.scheme == "file" and not parts.netloc and parts.path.strip("/"):
        return url.rstrip("/")
    raise ValueError(
        f"is {mask_url(url)!r}, which is no object store; "
        "write s3://bucket/prefix, r2://bucket/prefix, file:///folder or /folder"
    )


def _hosts(listed: str) -> str:
    hosts = [host.strip().lower() for host in listed.split(",") if host.strip()]
    for host in hosts:
        if not HOST.fullmatch(host):
            raise ValueError(
                f"holds {mask_url(host)!r}; write names or addresses with commas between, without "
                "scheme, path or *, such as archive.example.org,[2001:db8::1]:8080"
            )
    return ",".join(hosts)


def _folders(listed: str) -> str:
    folders = [folder.strip() for folder in listed.split(",") if folder.strip()]
    for folder in folders:
        if not folder.startswith("/") or "\0" in folder:
            raise ValueError(
                f"holds {folder!r}; write absolute paths with commas between, such as /data,/archive"
            )
    return ",".join(folders)


def _gigabytes(value: str) -> str:
    if not NUMBER.fullmatch(value.strip()):
        raise ValueError(f"is {value!r}, which is no size; write a number of gigabytes, such as 50")
    return value.strip()


def _count(value: str) -> str:
    if not COUNT.fullmatch(value.strip()):
        raise ValueError(f"is {value!r}; write a whole number from 1 to 9999, such as 64")
    return value.strip()


def _http(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ValueError(f"is {mask_url(url)!r}; write http://host:port or https://host")
    return url.rstrip("/")
