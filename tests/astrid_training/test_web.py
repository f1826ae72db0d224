"""Files of the web come from listed hosts only, whatever names and redirects say, and whole."""

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from astrid_training import downloads
from astrid_training.downloads import SourceCache
from astrid_training.errors import FitsRefusedError, MissingObjectError, UnusablePathError
from astrid_training.patience import Patience
from astrid_training.records import SourceFile
from astrid_training.sources import Sources
from astrid_training.store import ObjectChangedError, Store, StoreUnavailableError
from astrid_training.web import HostNotAllowedError, Web, WebRefusedError, _is_public
from deployments.embedded.processes import free_port

QUICK = Patience(retries=3, retry_s=30, first_wait_s=0.01, longest_wait_s=0.05, silence_s=20)
BODY = b"SIMPLE  =" + bytes(range(256)) * 1000
ETAG = '"one"'
CHANGED = "Mon, 01 Jan 2024 00:00:00 GMT"


@dataclass
class Page:
    """What the server answers with."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": ETAG})
    body: bytes = BODY
    length: int | None = len(BODY)
    """That it tells; None: nothing."""
    refused: frozenset[str] = frozenset()
    """Methods it does not know."""
    knows_ranges: bool = True
    faults: list[str | int] = field(default_factory=list)


class Archive:
    """A survey's web server."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.pages: dict[str, Page] = {"/a.fits": Page()}
        self.seen: list[tuple[str, str]] = []
        self.headers: dict[str, str] = {}
        archive = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                archive.answer(self)

            def do_HEAD(self) -> None:
                archive.answer(self)

            def log_message(self, *_args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_args: object) -> None:
                """Say nothing: connections break here by design."""

        self.http = Server(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        if context:
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = int(self.http.server_address[1])
        self.host = f"127.0.0.1:{self.port}"
        Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path: str = "/a.fits") -> str:
        return f"http://{self.host}{path}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.seen.append((request.command, request.path))
        self.headers = dict(request.headers)
        page = self.pages.get(request.path.partition("?")[0], Page(404, body=b"", length=0))
        fault = page.faults.pop(0) if page.faults else None
        if fault == "reset":
            linger = struct.pack("ii", 1, 0)
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            request.connection.close()
            return
        if fault == "silence":
            time.sleep(1.5)
            return
        if request.command in page.refused or isinstance(fault, int):
            request.send_response(fault if isinstance(fault, int) else 405)
            request.end_headers()
            return
        is_part = page.knows_ranges and "Range" in request.headers
        body = page.body[:1] if is_part else page.body
        request.send_response(206 if is_part else page.status)
        for name, value in page.headers.items():
            request.send_header(name, value)
        if is_part:
            request.send_header("Content-Range", f"bytes 0-0/{len(page.body)}")
        elif page.length is not None:
            request.send_header("Content-Length", str(page.length))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body[: len(body) // 2] if fault == "cut" else body)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def archive() -> Iterator[Archive]:
    archive = Archive()
    yield archive
    archive.close()


@pytest.fixture
def web(archive: Archive) -> Web:
    return Web([archive.host], QUICK)


def test_a_file_of_a_listed_host_is_looked_up_and_copied(
    archive: Archive, web: Web, tmp_path: Path
) -> None:
    found = web.head(archive.url())
    assert found
    assert (found.size, found.etag) == (len(BODY), ETAG)

    web.save(archive.url(), found.size, found.etag, tmp_path / "deep" / "a.fits")

    assert (tmp_path / "deep" / "a.fits").read_bytes() == BODY
    assert archive.headers["Host"] == archive.host
    assert archive.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("headers", "etag"),
    [
        ({"ETag": ETAG, "Last-Modified": CHANGED}, ETAG),
        ({"Last-Modified": CHANGED}, f"{CHANGED} {len(BODY)}"),
        ({}, ""),
    ],
)
def test_what_changes_with_the_file_is_its_etag_else_its_date(
    archive: Archive, web: Web, tmp_path: Path, headers: dict[str, str], etag: str
) -> None:
    archive.pages["/a.fits"] = Page(headers=headers)

    found = web.head(archive.url())

    assert found
    assert found.etag == etag
    web.save(archive.url(), found.size, found.etag, tmp_path / "a.fits")


@pytest.mark.parametrize(
    "page",
    [
        Page(refused=frozenset({"HEAD"})),
        Page(refused=frozenset({"HEAD"}), knows_ranges=False),
        Page(length=None),
    ],
)
def test_where_head_does_not_tell_the_size_a_first_byte_does(
    archive: Archive, web: Web, page: Page
) -> None:
    archive.pages["/a.fits"] = page

    found = web.head(archive.url())

    assert found
    assert found.size == len(BODY)
    assert [method for method, _ in archive.seen] == ["HEAD", "GET"]


def test_a_file_of_unknown_size_is_refused(archive: Archive, web: Web) -> None:
    archive.pages["/a.fits"] = Page(length=None, knows_ranges=False)

    with pytest.raises(WebRefusedError, match="does not tell its size; store the file"):
        web.head(archive.url())


def test_a_file_that_is_gone_is_missing(archive: Archive, web: Web, tmp_path: Path) -> None:
    assert web.head(archive.url("/none.fits")) is None
    with pytest.raises(MissingObjectError, match=r"/none\.fits any more"):
        web.save(archive.url("/none.fits"), 1, "", tmp_path / "none")


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_is_final_and_concerns_the_file_alone(
    archive: Archive, web: Web, tmp_path: Path, status: int
) -> None:
    archive.pages["/a.fits"] = Page(faults=[status] * 9)

    with pytest.raises(WebRefusedError, match=f"answers {status} .*; store the file") as caught:
        web.head(archive.url())
    assert [method for method, _ in archive.seen] == ["HEAD", "GET"]
    with pytest.raises(WebRefusedError, match=f"answers {status}"):
        web.save(archive.url(), 1, "", tmp_path / "a")

    assert caught.value.reason == "web_refused"
    assert len(archive.seen) == 3


@pytest.mark.parametrize("fault", [500, 503, 429, 408, "reset", "silence", "cut"])
def test_a_failure_that_passes_is_not_seen(archive: Archive, tmp_path: Path, fault: str) -> None:
    web = Web([archive.host], replace(QUICK, silence_s=0.5) if fault == "silence" else QUICK)
    archive.pages["/a.fits"].faults = [fault]
    web.save(archive.url(), len(BODY), ETAG, tmp_path / "a.fits")
    archive.pages["/a.fits"].faults = [fault]

    assert web.head(archive.url())

    assert (tmp_path / "a.fits").read_bytes() == BODY
    assert [method for method, _ in archive.seen][:3] == ["GET", "GET", "HEAD"]


@pytest.mark.parametrize("fault", [503, "reset", "cut"])
def test_a_failure_that_stays_is_told_and_leaves_nothing(
    archive: Archive, web: Web, tmp_path: Path, fault: str
) -> None:
    archive.pages["/a.fits"].faults = [fault] * 9

    with pytest.raises(StoreUnavailableError, match="run it again later, or without its host"):
        web.save(archive.url(), len(BODY), ETAG, tmp_path / "a.fits")

    assert len(archive.seen) == 1 + QUICK.retries
    assert list(tmp_path.iterdir()) == []


def test_a_dead_host_is_known_soon() -> None:
    host = f"127.0.0.1:{free_port(None)}"
    before = time.monotonic()

    with pytest.raises(StoreUnavailableError, match=f"cannot read http://{host}/a"):
        Web([host], QUICK).head(f"http://{host}/a")

    assert time.monotonic() - before < QUICK.retry_s


def test_a_server_that_trickles_is_left(archive: Archive, tmp_path: Path) -> None:
    web = Web([archive.host], replace(QUICK, whole_s=0.0, retries=0))

    with pytest.raises(StoreUnavailableError, match="does not end within 0 s"):
        web.save(archive.url(), len(BODY), ETAG, tmp_path / "a.fits")


@pytest.mark.parametrize(
    "page",
    [
        Page(headers={"ETag": '"two"'}),
        Page(body=BODY + b"x", length=None),
        Page(body=BODY[:-1], length=None),
    ],
)
def test_another_file_than_the_one_looked_up_is_not_copied(
    archive: Archive, web: Web, tmp_path: Path, page: Page
) -> None:
    archive.pages["/a.fits"] = page

    with pytest.raises(ObjectChangedError):
        web.save(archive.url(), len(BODY), ETAG, tmp_path / "a.fits")

    assert list(tmp_path.iterdir()) == []


def test_a_file_over_the_limit_is_refused_unread(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = Sources(Store(f"file://{tmp_path}/store"), hosts=[archive.host])
    found = sources.head(archive.url())
    assert found
    monkeypatch.setattr(downloads, "MAX_FILE_BYTES", len(BODY) - 1)

    with pytest.raises(FitsRefusedError, match="too_large"):
        SourceCache(sources, tmp_path).fetch(SourceFile(archive.url(), found.etag, found.size))

    assert [method for method, _ in archive.seen] == ["HEAD"]


def test_a_web_page_in_place_of_a_file_is_refused_as_such(archive: Archive, tmp_path: Path) -> None:
    archive.pages["/a.fits"] = Page(body=b"<html>Sorry</html>", length=18)
    sources = Sources(Store(f"file://{tmp_path}/store"), hosts=[archive.host])

    with pytest.raises(FitsRefusedError, match="html_page"):
        SourceCache(sources, tmp_path / "cache").fetch(SourceFile(archive.url(), ETAG, 18))


@pytest.mark.parametrize(
    "url",
    [
        "https://archive.example.org/a.fits",
        "http://127.0.0.1/a.fits",  # the port counts
        "http://127.0.0.1:1/a.fits",
        "http://2130706433:{port}/a.fits",  # the address of this machine as one number
        "http://127.1:{port}/a.fits",
        "http://[::ffff:127.0.0.1]:{port}/a.fits",
        "http://localhost:{port}/a.fits",
    ],
)
def test_a_host_that_is_not_listed_is_not_asked(archive: Archive, web: Web, url: str) -> None:
    with pytest.raises(HostNotAllowedError, match="add that to ASTRID_SOURCE_HOSTS") as caught:
        web.head(url.format(port=archive.port))

    assert caught.value.reason == "host_not_allowed"
    assert archive.seen == []


def test_nothing_is_allowed_unless_it_is_listed(archive: Archive) -> None:
    with pytest.raises(HostNotAllowedError):
        Web().head(archive.url())


def test_a_listed_name_that_leads_into_a_private_network_is_not_asked(archive: Archive) -> None:
    name = f"localhost:{archive.port}"

    with pytest.raises(HostNotAllowedError, match=r"leads to .*, which is not public"):
        Web([name], QUICK).head(f"http://{name}/a.fits")
    assert archive.seen == []

    both = Web([name, archive.host, f"[::1]:{archive.port}"], QUICK)
    assert both.head(f"http://{name}/a.fits")
    assert archive.headers["Host"] == name


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("1.1.1.1", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_which_addresses_are_public(address: str, *, public: bool) -> None:
    assert _is_public(address) is public


def test_redirects_are_followed_on_listed_hosts(archive: Archive, web: Web, tmp_path: Path) -> None:
    archive.pages["/1"] = Page(302, {"Location": "/2"}, b"", 0)
    archive.pages["/2"] = Page(307, {"Location": archive.url("/3")}, b"", 0)
    archive.pages["/3"] = Page(301, {"Location": "a.fits"}, b"", 0)

    found = web.head(archive.url("/1"))
    assert found
    web.save(archive.url("/1"), found.size, found.etag, tmp_path / "a.fits")

    assert (found.key, found.size) == (archive.url("/1"), len(BODY))
    assert (tmp_path / "a.fits").read_bytes() == BODY


@pytest.mark.parametrize(
    ("target", "error", "cause"),
    [
        ("http://localhost:{port}/a.fits", HostNotAllowedError, "localhost:.* may not be asked"),
        ("http://169.254.169.254/latest/", HostNotAllowedError, "169.254.169.254, which may not"),
        ("file:///etc/passwd", UnusablePathError, "no plain http or https address"),
        ("//elsewhere.example/a.fits", HostNotAllowedError, "elsewhere.example"),
        ("/loop", WebRefusedError, "more than 3 times"),
    ],
)
def test_a_redirect_leads_nowhere_else(
    archive: Archive, web: Web, target: str, error: type[Exception], cause: str
) -> None:
    location = {"Location": target.format(port=archive.port)}
    archive.pages["/loop"] = Page(302, location, b"", 0)

    with pytest.raises(error, match=cause):
        web.head(archive.url("/loop"))


@pytest.mark.parametrize(
    "url",
    [
        "http://user:planted@{host}/a.fits",
        "http://planted@{host}/a.fits",
        "https:///a.fits",
        "http://{host}:99999999/a.fits",
        "http://{host}/a\n.fits?key=planted",
        "http://",
        "https:a.fits",
    ],
)
def test_an_address_that_is_none_is_refused(archive: Archive, tmp_path: Path, url: str) -> None:
    sources = Sources(Store(f"file://{tmp_path}/store"), hosts=[archive.host])

    with pytest.raises(UnusablePathError) as caught:
        sources.head(url.format(host=archive.host))

    assert "planted" not in str(caught.value)
    assert archive.seen == []


def test_a_key_in_the_address_is_sent_but_not_told(archive: Archive, web: Web) -> None:
    archive.pages["/a.fits"].faults = [503] * 9

    with pytest.raises(StoreUnavailableError) as caught:
        web.head(archive.url("/a.fits?token=planted"))

    assert archive.seen[0] == ("HEAD", "/a.fits?token=planted")
    assert "planted" not in str(caught.value)


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return what a server named `name` shows, and what a client trusts who knows it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "server.pem").write_bytes(private + pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem")
    return server, ssl.create_default_context(cadata=pem.decode())


@pytest.mark.parametrize(("name", "is_its_own"), [("localhost", True), ("other.example", False)])
def test_the_certificate_must_be_that_of_the_name_not_of_the_address(
    tmp_path: Path, name: str, *, is_its_own: bool
) -> None:
    shown, trusted = certificate(tmp_path, name)
    archive = Archive(shown)
    place = f"localhost:{archive.port}"
    web = Web([place, archive.host, f"[::1]:{archive.port}"], replace(QUICK, retries=0))
    client = httpx.Client(verify=trusted, trust_env=False)
    web.__dict__["_client"] = client  # trusts this certificate as well
    ask: Callable[[], object] = lambda: web.head(f"https://{place}/a.fits")  # noqa: E731
    try:
        if is_its_own:
            assert ask()
        else:
            with pytest.raises(StoreUnavailableError, match="certificate"):
                ask()
    finally:
        client.close()
        archive.close()
