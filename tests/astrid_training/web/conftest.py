"""A survey's web server, which answers as it is told."""

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from astrid_training.patience import Patience
from astrid_training.web import Web

BODY = b"SIMPLE  =" + bytes(range(256)) * 1000
ETAG = '"one"'


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
    told: str | None = None
    """The range that it says it sends; None: the one that was asked for."""
    faults: list[str | int] = field(default_factory=list)


class Archive:
    """A survey's web server."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.body, self.etag = BODY, ETAG
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

    def serve(self, path: str, **page: Any) -> None:
        self.pages[path] = Page(**page)

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
        is_part = page.knows_ranges and "Range" in request.headers and page.status == 200
        span = request.headers.get("Range", "bytes=0-0").removeprefix("bytes=")
        first, last = (int(number) for number in span.split("-"))
        body = page.body[first : last + 1] if is_part else page.body
        request.send_response(206 if is_part else page.status)
        for name, value in page.headers.items():
            request.send_header(name, value)
        if is_part:
            request.send_header("Content-Range", f"bytes {page.told or span}/{len(page.body)}")
        elif page.length is not None:
            request.send_header("Content-Length", str(page.length))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body[: len(body) // 2] if fault == "cut" else body)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def archives() -> Iterator[Callable[..., Archive]]:
    """Starts web servers, which hold `/a.fits`."""
    with ExitStack() as cleanup:

        def start(context: ssl.SSLContext | None = None) -> Archive:
            archive = Archive(context)
            cleanup.callback(archive.close)
            return archive

        yield start


@pytest.fixture
def archive(archives: Callable[..., Archive]) -> Archive:
    """A survey's web server."""
    return archives()


@pytest.fixture
def patience() -> Patience:
    """Much of it, and hardly a wait."""
    return Patience(retries=3, retry_s=30, first_wait_s=0.01, longest_wait_s=0.05, silence_s=20)


@pytest.fixture
def web(archive: Archive, patience: Patience) -> Web:
    """Files of that server alone."""
    return Web([archive.host], patience)
