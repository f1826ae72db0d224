"""Whatever a row names as its file, no host is reached but those that are listed."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrid_training.errors import UnusablePathError
from astrid_training.patience import Patience
from astrid_training.sources import Sources
from astrid_training.store import Credentials, Store
from astrid_training.web import HostNotAllowedError, Web
from tests.fuzz.amounts import cases

HASTY = Patience(retries=0, retry_s=1, first_wait_s=0.01, silence_s=2, connect_s=1)
LISTED = "archive.example"


class Canary:
    """A port of this machine at which nobody may knock."""

    def __init__(self) -> None:
        self.knocks = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:  # it was closed
                return
            self.knocks += 1
            connection.close()

    def knock(self) -> None:
        """Show that it counts."""
        socket.create_connection(("127.0.0.1", self.port)).close()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def canary() -> Iterator[Canary]:
    """A port that must stay silent; at the end it is shown that it would have told."""
    listening = Canary()
    yield listening
    assert listening.knocks == 0
    listening.knock()
    for _ in range(1000):
        if listening.knocks:
            break
        socket.create_connection(("127.0.0.1", listening.port)).close()
    assert listening.knocks
    listening.close()


Resolve = Callable[..., None]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Return what sets the addresses that every name leads to."""

    def to(*addresses: str) -> None:
        def answer(_host: str, port: int, *_: object, **__: object) -> list[Any]:
            kinds = [socket.AF_INET6 if ":" in one else socket.AF_INET for one in addresses]
            pairs = zip(kinds, addresses, strict=True)
            return [(kind, socket.SOCK_STREAM, 6, "", (one, port)) for kind, one in pairs]

        monkeypatch.setattr(socket, "getaddrinfo", answer)

    return to


@pytest.mark.trust
@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("127.8.8.8",),
        ("0.0.0.0",),
        ("10.0.0.1",),
        ("169.254.169.254",),
        ("100.100.100.200",),  # a cloud's metadata
        ("::1",),
        ("::",),
        ("fe80::1%lo",),
        ("fd00:ec2::254",),  # a cloud's metadata
        ("::ffff:127.0.0.1",),
        ("::127.0.0.1",),
        ("64:ff9b::127.0.0.1",),
        ("2002:7f00:1::",),
        ("1.1.1.1", "127.0.0.1"),
        ("127.0.0.1", "1.1.1.1"),
    ],
)
def test_a_listed_name_that_leads_home_is_not_asked(
    canary: Canary, resolve: Resolve, addresses: tuple[str, ...]
) -> None:
    resolve(*addresses)
    name = f"{LISTED}:{canary.port}"

    for method in (Web([name], HASTY).head, Web([name.upper(), name], HASTY).head):
        with pytest.raises(HostNotAllowedError, match="not public"):
            method(f"http://{name}/a.fits")


HOSTS = st.sampled_from(
    [
        *(
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0x7f.1",
            "127.000.000.001",
        ),
        *("localhost", "LOCALHOST", "localhost.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
        *("0", "0.0.0.0", "[::]", "169.254.169.254", "metadata.google.internal", "①②⑦.⓪.⓪.①"),
        *(LISTED, f"{LISTED}.", f"{LISTED}%00.evil.example", "127。0。0。1", "loc\u00adalhost", ""),
    ]
)
USERS = st.sampled_from(
    ["", f"{LISTED}@", f"{LISTED}:80@", "@", f"{LISTED}%40", f"{LISTED}\\@", f"{LISTED}#@", "a:b@"]
)
SCHEMES = st.sampled_from(
    [
        *(
            "http://",
            "https://",
            "HTTP://",
            "http:/",
            "http:",
            "http:\\\\",
            "//",
            " http://",
            "http:///",
        ),
        *(
            "ftp://",
            "gopher://",
            "dict://",
            "ldap://",
            "ws://",
            "jar:http://",
            "s3://",
            "r2://",
            "url:",
        ),
        *("file://", "http+unix://", "http://http://", "\thttp://", "hTtPs://"),
    ]
)
TAILS = st.sampled_from(
    ["/a.fits", "", "/", "?x", "#x", "/..;/a", "\\a", "\r\nHost: x", "/%0d%0a", "/\0"]
)


@pytest.mark.trust
@cases(50)
@given(
    scheme=SCHEMES,
    user=USERS,
    host=HOSTS | st.text(max_size=12),
    tail=TAILS,
    port=st.sampled_from([":{}", "", ":0{}", ":{}0", ": {}", ":", ":{}:80", ":٨٠"]),
)
def test_no_spelling_of_an_address_reaches_this_machine(
    canary: Canary,
    resolve: Resolve,
    tmp_path: Path,
    scheme: str,
    user: str,
    host: str,
    tail: str,
    port: str,
) -> None:
    resolve("127.0.0.1")
    listed = [LISTED, f"{LISTED}:{canary.port}"]
    sources = Sources(Store((tmp_path / "store").as_uri()), hosts=listed, patience=HASTY)
    place = f"{scheme}{user}{host}{port.format(canary.port)}{tail}"
    try:
        found = sources.head(place)
    except UnusablePathError:
        found = None

    assert found is None


@pytest.mark.trust
@pytest.mark.parametrize(
    "path",
    [
        "s3://127.0.0.1:{port}/a.fits",
        "s3://x@127.0.0.1:{port}/a.fits",
        "s3://x#@127.0.0.1:{port}/a.fits",
        "s3://x?endpoint=http:127.0.0.1:{port}/a.fits",
        "s3://x\\@127.0.0.1:{port}/a.fits",
        "s3://../a.fits",
        "s3://%2e%2e/a.fits",
        "s3://x y/a.fits",
        "s3://x\r\nHost: evil/a.fits",
        "s3://" + "x" * 300 + "/a.fits",
        "r2://[::1]/a.fits",
    ],
)
def test_a_bucket_is_a_name_and_no_other_endpoint(
    canary: Canary, tmp_path: Path, path: str
) -> None:
    keys = Credentials(f"http://127.0.0.1:{canary.port}", "key", "secret")
    sources = Sources(Store((tmp_path / "store").as_uri()), keys, patience=HASTY)

    with pytest.raises(UnusablePathError):
        sources.head(path.format(port=canary.port))


@pytest.mark.trust
def test_where_no_bucket_is_set_up_a_row_makes_nobody_ask_the_cloud_for_keys(
    canary: Canary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{canary.port}")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{canary.port}")
    sources = Sources(Store((tmp_path / "store").as_uri()), patience=HASTY)

    with pytest.raises(UnusablePathError, match="none is set up here"):
        sources.head("s3://bucket/a.fits")
