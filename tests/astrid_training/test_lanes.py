"""A machine fetches so many files at once, whatever processes it has and however they end."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from types import SimpleNamespace

import pyarrow as pa
import pytest

from astrid_training.batches import TARGETS
from astrid_training.downloads import SourceCache, fetch_sources
from astrid_training.lanes import lane
from astrid_training.sources import Sources
from astrid_training.stamps import ROLES
from astrid_training.store import Credentials, Store

HOLD = """
import sys, time
from pathlib import Path
from astrid_training.lanes import lane
with lane(Path(sys.argv[1]), 8):
    print("held", flush=True)
    time.sleep(600)
"""


def begun(work: Callable[[], object]) -> Event:
    """Do the work in a thread, and return what is set when it is done."""
    done = Event()

    def run() -> None:
        work()
        done.set()

    Thread(target=run, daemon=True).start()  # a daemon: one that waits for ever fails a test only
    return done


def passed(folder: Path, at_once: int) -> Event:
    """Return what is set when somebody has had a lane."""

    def enter() -> None:
        with lane(folder, at_once):
            pass

    return begun(enter)


def test_all_lanes_together_are_as_wide_as_was_said(tmp_path: Path) -> None:
    with ExitStack() as stack:
        assert [stack.enter_context(lane(tmp_path, 20)) for _ in range(3)] == [8, 8, 4]
        waiting = passed(tmp_path, 20)
        assert not waiting.wait(0.3)

    assert waiting.wait(30)


def test_a_killed_holder_keeps_nobody_waiting(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        waiting = passed(tmp_path, 8)
        assert not waiting.wait(0.3)
        holder.kill()

    assert waiting.wait(30)


@pytest.fixture
def slow_bucket() -> Iterator[SimpleNamespace]:
    """A bucket of pages that takes its time, and remembers how many requests it had at once."""
    seen = SimpleNamespace(now=0, most=0, served=0)
    lock = Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                seen.now += 1
                seen.most = max(seen.most, seen.now)
                seen.served += 1
            time.sleep(0.05)
            with lock:
                seen.now -= 1
            self.send_response(200)
            self.send_header("Content-Length", "4")
            self.send_header("ETag", '"page"')
            self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
            self.end_headers()
            self.wfile.write(b"html")

        def log_message(self, *_args: object) -> None:
            """Tell nobody."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        seen.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield seen
        server.shutdown()


def targets(name: str, files: int = 12) -> pa.Table:
    nothing = {f"{role}_{what}": None for role in ROLES for what in ("path", "etag", "size")}
    rows = [
        {
            "sample_key": f"{name}-{number}",
            **nothing,
            "science_path": f"{name}/{number}.fits",
            "science_etag": '"page"',
            "science_size": 4,
        }
        for number in range(files)
    ]
    return pa.Table.from_pylist(rows, schema=TARGETS)


def test_batches_of_several_caches_share_the_machines_downloads(
    slow_bucket: SimpleNamespace, tmp_path: Path
) -> None:
    store = Store("s3://bucket", Credentials(slow_bucket.url, "key", "secret"))

    def fetch(name: str) -> int:
        cache = SourceCache(Sources(store), tmp_path / "sources", at_once=3)
        return len(fetch_sources(cache, targets(name)).refused)

    with ThreadPoolExecutor(3) as pool:
        refused = list(pool.map(fetch, ("one", "two", "three")))

    assert refused == [12, 12, 12]  # none of them is a FITS file
    assert slow_bucket.served == 36
    assert slow_bucket.most == 3


def test_files_in_place_wait_for_nobody(tmp_path: Path) -> None:
    cache = SourceCache(Sources(Store(f"file://{tmp_path}/store")), tmp_path / "sources", at_once=1)

    with lane(tmp_path / "sources" / "lanes", 1):
        assert begun(lambda: fetch_sources(cache, targets("here"))).wait(30)
