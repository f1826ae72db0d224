"""Files on web servers that the operator allows, and on no others."""

import socket
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import TypeVar

import httpx

from astrid_training.errors import MissingObjectError, UnusablePathError
from astrid_training.files import write_atomically
from astrid_training.patience import PATIENT, Patience, persist
from astrid_training.store import (
    NoRangesError,
    ObjectChangedError,
    ObjectInfo,
    StoreUnavailableError,
    exactly,
)

__all__ = ["HostNotAllowedError", "Web", "WebRefusedError"]

MAX_REDIRECTS = 3
PASSING = frozenset({408, 429, 500, 502, 503, 504})
GONE = frozenset({404, 410})
UNICAST = IPv6Network("2000::/3")
"""All of IPv6 that is handed out for the open internet."""
NAT64, COMPATIBLE = IPv6Network("64:ff9b::/96"), IPv6Network("::/96")
PORTS = {"http": 80, "https": 443}
HEADERS = {
    "User-Agent": "astrid-training",
    "Accept-Encoding": "identity",  # the file's own bytes, and no bomb of the server's making
}

T = TypeVar("T")


class HostNotAllowedError(UnusablePathError):
    """A web address on a host that the operator has not listed."""

    reason = "host_not_allowed"


class WebRefusedError(UnusablePathError):
    """A web server that may be asked does not give the file."""

    reason = "web_refused"


class _BusyError(ConnectionError):
    """An answer that may be another one the next time."""


class Web:
    """Files by their http or https address, on listed hosts only.

    A host is asked under the very addresses that were checked: a name that leads to this machine, a
    private network or the like is refused, unless that address is listed too. Redirects are checked
    in the same way. Proxies of the environment are not used, for they would look names up anew.

    Args:
        hosts: names or addresses, each with a port if it is not the scheme's own.
        patience: how often and how long servers are asked.
    """

    url = "https://"
    """Where these files lie, in the words of `Store`."""

    def __init__(self, hosts: Collection[str] = (), patience: Patience = PATIENT) -> None:
        self._hosts = frozenset(hosts)
        self._patience = patience

    def head(self, url: str) -> ObjectInfo | None:
        """Return size and ETag (else the time of the last change) of the file, or None if gone.

        Raises:
            UnusablePathError: if the host may not be asked, or refuses, or does not tell the size.
            StoreUnavailableError: if the server fails or does not answer.
        """
        return self._ask(url, lambda: self._info(url))

    def save(self, url: str, size: int, etag: str, target: Path) -> None:
        """Copy the file, as `head` told of it, to the file `target` of this machine.

        Raises:
            MissingObjectError: if it is gone.
            ObjectChangedError: if it has another size or ETag.
            UnusablePathError, StoreUnavailableError: as `head`.
        """
        self._ask(url, lambda: self._copy(url, size, etag, target))

    def get_range(self, url: str, etag: str, start: int, stop: int) -> bytes:
        """Return the file's bytes from `start` to before `stop`; see `Store.get_range`.

        Raises:
            NoRangesError: if the server sends something else than that range of that file.
            MissingObjectError, ObjectChangedError: as `save`.
            UnusablePathError, StoreUnavailableError: as `head`.
        """
        return self._ask(url, lambda: self._part(url, etag, start, stop))

    def local_path(self, _url: str) -> Path | None:
        """Return None: no file of the web lies on this machine."""
        return None

    def _ask(self, url: str, call: Callable[[], T]) -> T:
        try:
            return persist(call, _is_passing, self._patience)
        except (httpx.TransportError, _BusyError, socket.gaierror) as error:
            raise StoreUnavailableError(
                f"cannot read {_shown(url)}: {error or type(error).__name__}; run it again later, or "
                "without its host in ASTRID_SOURCE_HOSTS, which drops the samples of its files"
            ) from None  # the client's words may quote the whole address

    def _info(self, url: str) -> ObjectInfo | None:
        """Ask for the head alone, and for a first byte where that does not tell the size."""
        for method, headers in (("HEAD", {}), ("GET", {"Range": "bytes=0-0"})):
            with self._opened(method, url, headers) as reply:
                if reply.status_code in GONE:
                    return None
                size = _size(reply)
                if reply.is_success and size is not None:
                    return ObjectInfo(url, size, _etag(reply, size))
        if reply.is_success or reply.status_code == 416:  # of an empty file
            raise WebRefusedError(
                f"{_shown(url)} does not tell its size; store the file in the bucket"
            )
        raise _refusal(url, reply)

    def _copy(self, url: str, size: int, etag: str, target: Path) -> None:
        with self._opened("GET", url, {}) as reply:
            if reply.status_code in GONE:
                raise MissingObjectError(f"no file {_shown(url)} any more; correct the path")
            if not reply.is_success:
                raise _refusal(url, reply)
            if _etag(reply, size) != etag:
                raise ObjectChangedError(f"{_shown(url)} changed since it was looked up")
            write_atomically(target, exactly(self._in_time(reply), size))

    def _part(self, url: str, etag: str, start: int, stop: int) -> bytes:
        with self._opened("GET", url, {"Range": f"bytes={start}-{stop - 1}"}) as reply:
            if reply.status_code in GONE:
                raise MissingObjectError(f"no file {_shown(url)} any more; correct the path")
            told, size = reply.headers.get("Content-Range", ""), _size(reply)
            if reply.status_code != 206 or told != f"bytes {start}-{stop - 1}/{size}":
                raise NoRangesError(f"the server of {_shown(url)} does not give parts of files")
            if _etag(reply, size or 0) != etag:
                raise ObjectChangedError(f"{_shown(url)} changed since it was looked up")
            return b"".join(exactly(self._in_time(reply), stop - start))

    def _in_time(self, reply: httpx.Response) -> Iterator[bytes]:
        """Yield the body as it was sent; a server that trickles is left after a while."""
        deadline = time.monotonic() + self._patience.whole_s
        for chunk in reply.iter_raw():
            yield chunk
            if time.monotonic() > deadline:
                raise _BusyError(f"the file does not end within {self._patience.whole_s:.0f} s")

    @contextmanager
    def _opened(self, method: str, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """Yield the answer, its body unread, after redirects that were checked one by one."""
        place = _parsed(url)
        for _ in range(MAX_REDIRECTS + 1):
            reply = self._sent(method, place, headers)
            try:
                if not reply.has_redirect_location:
                    if reply.status_code in PASSING:
                        raise _BusyError(f"it answers {reply.status_code} {reply.reason_phrase}")
                    yield reply
                    return
                place = _parsed(reply.headers["Location"], place)
            finally:
                reply.close()
        raise WebRefusedError(f"{_shown(url)} redirects more than {MAX_REDIRECTS} times")

    def _sent(self, method: str, url: httpx.URL, headers: dict[str, str]) -> httpx.Response:
        """Send the request to the first of the host's addresses that lets itself be connected."""
        *others, last = self._addresses(url)
        for address in others:
            try:
                return self._sent_to(address, method, url, headers)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue  # one of several doors; the last one's failure is told
        return self._sent_to(last, method, url, headers)

    def _sent_to(
        self, address: str, method: str, url: httpx.URL, headers: dict[str, str]
    ) -> httpx.Response:
        request = self._client.build_request(
            method,
            url.copy_with(host=address),
            headers={**HEADERS, **headers, "Host": url.netloc.decode("ascii")},
            # the certificate must be that of the name, not of the address
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        )
        return self._client.send(request, stream=True)

    def _addresses(self, url: httpx.URL) -> list[str]:
        """Return the addresses of the host, all of them checked.

        Raises:
            HostNotAllowedError: if the host is not listed, or leads to a place that is not public.
        """
        host, port = url.host, url.port or PORTS[url.scheme]
        if not self._is_listed(host, url):
            raise HostNotAllowedError(
                f"{_shown(str(url))} lies on {url.netloc.decode('ascii')}, which may not be asked; add "
                "that to ASTRID_SOURCE_HOSTS and run `astrid-training bootstrap`, or store the file in "
                "the bucket"
            )
        found = socket.getaddrinfo(url.raw_host.decode("ascii"), port, type=socket.SOCK_STREAM)
        addresses = [str(place[0]) for *_, place in found]
        for address in addresses:
            if not (_is_public(address) or self._is_listed(address, url)):
                raise HostNotAllowedError(
                    f"{host} leads to {address}, which is not public; add that address to "
                    "ASTRID_SOURCE_HOSTS if it is meant"
                )
        return addresses

    def _is_listed(self, host: str, url: httpx.URL) -> bool:
        name = f"[{host}]" if ":" in host else host
        port = url.port or PORTS[url.scheme]
        return f"{name}:{port}" in self._hosts or (url.port is None and name in self._hosts)

    @cached_property
    def _client(self) -> httpx.Client:
        return httpx.Client(
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(self._patience.silence_s, connect=self._patience.connect_s),
            # two hosts may share an address, but never a connection
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )


def _parsed(url: str, base: httpx.URL | None = None) -> httpx.URL:
    try:
        parsed = base.join(url) if base else httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise UnusablePathError(f"{_shown(url)} is no web address; correct it") from error
    if parsed.scheme not in PORTS or not parsed.host or parsed.userinfo:
        raise UnusablePathError(
            f"{_shown(url)} is no plain http or https address; write it with a host and without a user"
        )
    return parsed


def _is_public(address: str) -> bool:
    """Tell whether the address is one of the open internet, also when it is written as IPv6."""
    found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        found = _within(found) or found
    if isinstance(found, IPv6Address) and found not in UNICAST:
        return False
    return found.is_global and not found.is_multicast


def _within(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that a gateway makes of an IPv6 one, if it makes one."""
    if address in NAT64 or address in COMPATIBLE:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour


def _is_passing(error: Exception) -> bool:
    return isinstance(error, httpx.TransportError | _BusyError | socket.gaierror)


def _size(reply: httpx.Response) -> int | None:
    """Return the size of the whole file, where the answer tells it."""
    part = reply.headers.get("Content-Range", "").rpartition("/")[2]
    told = part if reply.status_code == 206 else reply.headers.get("Content-Length", "")
    return int(told) if told.isascii() and told.isdigit() else None


def _etag(reply: httpx.Response, size: int) -> str:
    """Return what changes when the file does, or nothing where the server does not say."""
    changed = reply.headers.get("Last-Modified")
    return str(reply.headers.get("ETag") or (f"{changed} {size}" if changed else ""))


def _refusal(url: str, reply: httpx.Response) -> WebRefusedError:
    return WebRefusedError(
        f"the server of {_shown(url)} answers {reply.status_code} {reply.reason_phrase}; "
        "store the file in the bucket, or correct the path"
    )


def _shown(url: str) -> str:
    """Return the address without what may be a key: user, password, query."""
    scheme, _, rest = url.partition("?")[0].partition("#")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"[:200]
