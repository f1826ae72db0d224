"""Only hosts that are listed are asked, whatever names, addresses and redirects say."""

import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from astrid_training.errors import UnusablePathError
from astrid_training.patience import Patience
from astrid_training.sources import Sources
from astrid_training.store import Store, StoreUnavailableError
from astrid_training.web import HostNotAllowedError, Web, WebRefusedError, _is_public


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
def test_a_host_that_is_not_listed_is_not_asked(archive: Any, web: Web, url: str) -> None:
    with pytest.raises(HostNotAllowedError, match="add that to ASTRID_SOURCE_HOSTS") as caught:
        web.head(url.format(port=archive.port))

    assert caught.value.reason == "host_not_allowed"
    assert archive.seen == []


def test_nothing_is_allowed_unless_it_is_listed(archive: Any) -> None:
    with pytest.raises(HostNotAllowedError):
        Web().head(archive.url())


def test_a_listed_name_that_leads_into_a_private_network_is_not_asked(
    archive: Any, patience: Patience
) -> None:
    name = f"localhost:{archive.port}"

    with pytest.raises(HostNotAllowedError, match=r"leads to .*, which is not public"):
        Web([name], patience).head(f"http://{name}/a.fits")
    assert archive.seen == []

    both = Web([name, archive.host, f"[::1]:{archive.port}"], patience)
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
        ("64:ff9b::101:101", True),  # what a gateway to IPv4 is asked for
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::a00:1", False),
        ("::7f00:1", False),
        ("::ffff:0:7f00:1", False),
        ("fec0::1", False),
        ("5f00::1", False),
        ("2001:0:7f00:1::", False),
    ],
)
def test_which_addresses_are_public(address: str, *, public: bool) -> None:
    assert _is_public(address) is public


def test_redirects_are_followed_on_listed_hosts(archive: Any, web: Web, tmp_path: Path) -> None:
    archive.serve("/1", status=302, headers={"Location": "/2"}, body=b"", length=0)
    archive.serve("/2", status=307, headers={"Location": archive.url("/3")}, body=b"", length=0)
    archive.serve("/3", status=301, headers={"Location": "a.fits"}, body=b"", length=0)

    found = web.head(archive.url("/1"))
    assert found
    web.save(archive.url("/1"), found.size, found.etag, tmp_path / "a.fits")

    assert (found.key, found.size) == (archive.url("/1"), len(archive.body))
    assert (tmp_path / "a.fits").read_bytes() == archive.body


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
    archive: Any, web: Web, target: str, error: type[Exception], cause: str
) -> None:
    location = {"Location": target.format(port=archive.port)}
    archive.serve("/loop", status=302, headers=location, body=b"", length=0)

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
def test_an_address_that_is_none_is_refused(archive: Any, tmp_path: Path, url: str) -> None:
    sources = Sources(Store(f"file://{tmp_path}/store"), hosts=[archive.host])

    with pytest.raises(UnusablePathError) as caught:
        sources.head(url.format(host=archive.host))

    assert "planted" not in str(caught.value)
    assert archive.seen == []


def test_a_key_in_the_address_is_sent_but_not_told(archive: Any, web: Web) -> None:
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
    archives: Callable[..., Any],
    tmp_path: Path,
    patience: Patience,
    name: str,
    *,
    is_its_own: bool,
) -> None:
    shown, trusted = certificate(tmp_path, name)
    archive = archives(shown)
    place = f"localhost:{archive.port}"
    web = Web([place, archive.host, f"[::1]:{archive.port}"], replace(patience, retries=0))
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
