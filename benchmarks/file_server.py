"""A folder as a bucket over HTTP, ranges included, in a process of its own.

    python -m benchmarks.file_server FOLDER

prints the port it listens on and serves `/bucket/<name>` until it is killed.
"""

import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SPAN = re.compile(r"bytes=(\d+)-(\d+)")


class Handler(BaseHTTPRequestHandler):
    """Answers as an S3 server does."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def do_HEAD(self) -> None:
        """Tell size and ETag."""
        self._answer()

    def do_GET(self) -> None:
        """Send the file or a range of it."""
        path, start, stop = self._answer()
        with path.open("rb") as file:
            file.seek(start)
            self.wfile.write(file.read(stop - start))

    def log_message(self, *_args: object) -> None:
        """Say nothing."""

    def _answer(self) -> tuple[Path, int, int]:
        path = self.folder / self.path.removeprefix("/bucket/")
        size = path.stat().st_size
        span = SPAN.fullmatch(self.headers.get("Range", ""))
        start, stop = (int(span[1]), int(span[2]) + 1) if span else (0, size)
        self.send_response(206 if span else 200)
        if span:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - start))
        self.send_header("ETag", f'"{path.name}-{size}"')
        self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        self.end_headers()
        return path, start, stop


def main() -> None:
    """Serve until killed."""
    Handler.folder = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
