"""A proxy in front of a server that spoils answers, for tests of what stores and servers do to us."""

import http.client
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

from astrid_training.patience import Patience

__all__ = ["HASTY", "QUICK", "Fault", "FaultyProxy"]

QUICK = Patience(retries=3, retry_s=30, first_wait_s=0.01, longest_wait_s=0.05, silence_s=20)
HASTY = replace(QUICK, silence_s=0.5)
SLOW_S = 0.4
AWS_REFUSAL = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>no</Message>'
    "<AWSAccessKeyId>key-of-tests</AWSAccessKeyId><StringToSign>secret-of-tests</StringToSign>"
    "</Error>"
)
Fault = int | str
"""A status to refuse with, or what is done to the answer: reset, silence, lost, cut, broken, stall, slow."""


class FaultyProxy:
    """Stands before an HTTP server and spoils the answers it is told to."""

    def __init__(self, server: str) -> None:
        self.server = server.removeprefix("http://")
        self.faults: list[Fault | None] = []
        """Of the next requests, in order; None: it is answered as it should be."""
        self.draw: Callable[[], Fault | None] = lambda: None
        """Gives that of each request after them."""
        self.seen: list[str] = []
        """`METHOD path` of each request, in order."""
        self.headers: list[dict[str, str]] = []
        self._lock = Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else head and body of an answer are 40 ms apart

            def handle_any(self) -> None:
                proxy.answer(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815 - http.server looks for these

            def log_message(self, *_args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_args: object) -> None:
                """Say nothing: connections break here by design."""

        self.http = Server(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        with self._lock:
            self.seen.append(f"{request.command} {request.path}")
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
            fault = self.faults.pop(0) if self.faults else self.draw()
        if isinstance(fault, int):
            refuse(request, fault)
        elif fault == "reset":
            reset(request)
        elif fault == "slow":
            time.sleep(SLOW_S)
            self.forward(request, body, None)
        elif fault == "silence":
            time.sleep(3 * HASTY.silence_s)
            request.close_connection = True
        else:
            self.forward(request, body, fault)

    def forward(self, request: BaseHTTPRequestHandler, body: bytes, fault: Fault | None) -> None:
        upstream = http.client.HTTPConnection(self.server)
        upstream.request(request.command, request.path, body, dict(request.headers))
        reply = upstream.getresponse()
        content = reply.read()
        upstream.close()
        if fault == "lost":
            reset(request)
            return
        request.send_response(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in {"connection", "transfer-encoding", "server", "date"}:
                request.send_header(name, value)
        if reply.getheader("Content-Length") is None:
            request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        half = content[: len(content) // 2] if fault in {"cut", "broken", "stall"} else content
        request.wfile.write(half)
        request.wfile.flush()
        if fault == "cut":
            request.connection.shutdown(socket.SHUT_RDWR)
        if fault == "stall":
            time.sleep(3 * HASTY.silence_s)
        if fault == "broken":
            time.sleep(0.2)  # so that the half that was sent is read before the reset
            reset(request)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


def refuse(request: BaseHTTPRequestHandler, status: int) -> None:
    body = AWS_REFUSAL.format(code=f"Code{status}").encode()
    request.send_response(status)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)


def reset(request: BaseHTTPRequestHandler) -> None:
    linger = struct.pack("ii", 1, 0)
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    request.connection.close()
    request.close_connection = True
