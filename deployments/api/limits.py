"""How much one caller and one address may ask for, and how much they may send."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from threading import Lock

from starlette.requests import Request

__all__ = ["MOST_BODY_BYTES", "Gate", "Limits", "address_of"]

MOST_BODY_BYTES = 256 * 1024
"""Parameters of a collection take some hundred bytes; lists of surveys and classes, some thousand."""
MOST_KNOWN = 10_000  # callers or addresses whose requests are counted; of more, the latest
MINUTE_S = 60.0
SAME_PLACE = 64  # bits of an IPv6 address that a provider gives to one customer


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one process of the API; several count each for itself."""

    per_token: int = 1200
    """Requests a minute of one caller; 0: as many as they like."""
    per_address: int = 2400
    """Requests a minute from one address, refused ones included; 0: as many as they like."""
    body_bytes: int = MOST_BODY_BYTES
    """Most of one request."""

    def __post_init__(self) -> None:
        """Refuse what limits nothing by mistake.

        Raises:
            ValueError: for a negative rate, or a body of nothing.
        """
        if self.per_token < 0 or self.per_address < 0 or self.body_bytes < 1:
            raise ValueError(
                f"limits {self.per_token}, {self.per_address} and {self.body_bytes}: give requests a minute, "
                "0 for no limit, and at least one byte"
            )


class _Buckets:
    """A bucket of requests for each key: a minute's worth, filled again as time goes."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._size, self._clock = float(per_minute), clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def take(self, key: str) -> float:
        """Return the seconds until a request of this key is let in; 0: it was just now."""
        if not self._size:
            return 0.0
        with self._lock:
            now = self._clock()
            left, since = self._left.pop(key, (self._size, now))
            left = min(self._size, left + (now - since) * self._size / MINUTE_S)
            wait = 0.0 if left >= 1 else (1 - left) * MINUTE_S / self._size
            self._left[key] = (left if wait else left - 1, now)
            if len(self._left) > MOST_KNOWN:
                self._left.popitem(last=False)
        return wait


class Gate:
    """Lets requests in, or says in how many seconds to come again."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nobody known; `clock` gives seconds."""
        self.limits = limits
        self._tokens = _Buckets(limits.per_token, clock)
        self._addresses = _Buckets(limits.per_address, clock)

    def wait_of_address(self, request: Request) -> int:
        """Return whole seconds to wait for who sent this; 0: go on."""
        return math.ceil(self._addresses.take(address_of(request)))

    def wait_of_caller(self, name: str) -> int:
        """Return whole seconds to wait for this caller; 0: go on."""
        return math.ceil(self._tokens.take(name))


def address_of(request: Request) -> str:
    """Return who sent the request, of IPv6 the network: a customer has as many addresses as they like."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:  # a socket of this machine
        return host
    if address.version == 4:
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ip_network(f"{address.exploded}/{SAME_PLACE}", strict=False))
