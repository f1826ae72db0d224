"""Buckets of S3-compatible servers: how they are opened, and what their refusals mean."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from obstore.store import S3Store

from astrid_training.patience import Patience
from astrid_training.urls import mask_url

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

__all__ = [
    "PARTS_AT_ONCE",
    "PART_BYTES",
    "Credentials",
    "explain",
    "is_of_bucket",
    "is_refusal",
    "may_be_asked_again",
    "open_bucket",
]

PART_BYTES = 8 << 20
"""Of an upload in parts; R2 wants all but the last equal, S3 none but the last below 5 MiB."""
PARTS_AT_ONCE = 4  # 32 MiB within `silence_s`: 4.5 Mbit/s of uplink are enough

STATUS = re.compile(r"status code: (\d{3})([^:\n]*)")
CODE = re.compile(r"<Code>\s*([A-Za-z0-9.]+)\s*</Code>")
TRIES = re.compile(r"after (\d+) retries")
SILENT = "HTTP error:"
ROLE = "/latest/"  # the path under which a cloud tells its machines their own keys
SETTINGS = "CLOUDFLARE_R2_ENDPOINT_URL, ASTRID_STORE_REGION and the network"
SERVER_CURE = f"check {SETTINGS}"
KEYS_CURE = (
    "check CLOUDFLARE_R2_ACCESS_KEY_ID and CLOUDFLARE_R2_SECRET_ACCESS_KEY, "
    "and what they may do in this bucket"
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to reach an S3-compatible store; the secrets stay out of its repr."""

    endpoint_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    region: str = "auto"
    session_token: str | None = None
    """Of keys that are lent for a time."""

    def __repr__(self) -> str:
        shown = self.endpoint_url and mask_url(self.endpoint_url)
        return f"Credentials(endpoint_url={shown!r}, region={self.region!r})"


def open_bucket(url: str, credentials: Credentials, patience: Patience) -> S3Store:
    """Return the bucket and prefix of `s3://bucket/prefix`; nothing is asked of its server yet.

    Raises:
        ValueError: if the address names no bucket, or one of the two keys is missing.
    """
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError(f"store {url!r} is no file:///folder or s3://bucket; set ASTRID_STORE_URL")
    return S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        config=_config(credentials),
        client_options=_client_options(credentials, patience),
        retry_config=_retries(patience),
    )


def _config(credentials: Credentials) -> "S3Config":
    config: S3Config = {
        "region": credentials.region,
        "conditional_put": "etag",  # If-None-Match, If-Match: R2 and S3 know both
        "virtual_hosted_style_request": False,  # one host name, also where no DNS knows the bucket
        "disable_bulk_delete": True,  # a plain DELETE, which needs no checksum of a body
        "disable_tagging": True,  # R2 has no tags
    }
    if credentials.endpoint_url:
        config["endpoint"] = credentials.endpoint_url
    key, secret = credentials.access_key_id, credentials.secret_access_key
    if bool(key) != bool(secret):
        raise ValueError(
            "of CLOUDFLARE_R2_ACCESS_KEY_ID and CLOUDFLARE_R2_SECRET_ACCESS_KEY only one is set; "
            "set both, or neither where the machine's own role opens the bucket"
        )
    if key and secret:
        config["access_key_id"] = key
        config["secret_access_key"] = secret
    if credentials.session_token:
        config["session_token"] = credentials.session_token
    return config


def _client_options(credentials: Credentials, patience: Patience) -> "ClientConfig":
    return {
        "allow_http": (credentials.endpoint_url or "").startswith("http://"),
        "connect_timeout": timedelta(seconds=patience.connect_s),
        "read_timeout": timedelta(seconds=patience.silence_s),
        # the client's own 30 s would end every transfer of a large file
        "timeout": timedelta(seconds=patience.whole_s),
    }


def _retries(patience: Patience) -> "RetryConfig":
    return {
        "max_retries": patience.retries,
        "retry_timeout": timedelta(seconds=patience.retry_s),
        "backoff": {  # the client draws each wait at random between the first and `base` times the last
            "init_backoff": timedelta(seconds=patience.first_wait_s),
            "max_backoff": timedelta(seconds=patience.longest_wait_s),
            "base": 2,
        },
    }


def may_be_asked_again(error: Exception, patience: Patience) -> bool:
    """Tell whether no answer came and the client gave up early.

    It does so for what it holds unsafe to send twice, such as writing unless something is there.
    Objects that are named by their content may be sent twice.
    """
    text = _without_debug(error)
    return f"- {SILENT}" in text and STATUS.search(text) is None and _tries(text) < patience.retries


def is_of_bucket(error: Exception) -> bool:
    """Tell whether it is the bucket, not the object, that is not there."""
    return "NoSuchBucket" in _without_debug(error)


def is_refusal(error: Exception) -> bool:
    """Tell whether the server answers and does not give us what we ask for, whenever we ask."""
    text = _without_debug(error)
    status = STATUS.search(text)
    if status is None:
        return ROLE in text
    return int(status[1]) < 500 and int(status[1]) not in {408, 429}


def explain(error: Exception, credentials: Credentials) -> str:
    """Return cause and cure in words of ours.

    The client's words quote the server's, and those may name the access key.
    """
    text = _without_debug(error)
    status = STATUS.search(text)
    tries = f" after {_tries(text) + 1} tries" if _tries(text) else ""
    if ROLE in text:
        return f"no keys are set, and this machine has no role of its own; {KEYS_CURE}"
    if status is None and SILENT in text:
        server = mask_url(credentials.endpoint_url or "the bucket's server")
        return f"{server} gives no answer{tries}; {SERVER_CURE}"
    if status is None:
        return f"{_scrubbed(text, credentials)}; check ASTRID_STORE_URL, {SETTINGS}"
    code = CODE.search(text)
    named = f" ({code[1]})" if code else ""
    return f"the server answers {status[1]}{status[2]}{named}{tries}; {_cure(int(status[1]), text)}"


def _cure(status: int, text: str) -> str:
    if "TimeTooSkewed" in text:
        return "set this machine's clock"
    if status in {401, 403}:
        return KEYS_CURE
    if status == 404:
        return "make the bucket, or correct ASTRID_STORE_URL or CLOUDFLARE_R2_BUCKET_NAME"
    if status in {408, 429} or status >= 500:
        return "it is overloaded or fails: run it again later"
    return SERVER_CURE


def _without_debug(error: Exception) -> str:
    return str(error).partition("\n\nDebug source")[0]


def _tries(text: str) -> int:
    found = TRIES.search(text)
    return int(found[1]) if found else 0


def _scrubbed(text: str, credentials: Credentials) -> str:
    line = mask_url(text.splitlines()[0])
    secrets = (
        credentials.secret_access_key,
        credentials.access_key_id,
        credentials.session_token,
    )
    for secret in filter(None, secrets):
        line = line.replace(secret, "***")
    return line
