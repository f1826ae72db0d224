"""Every dependency has its reason and a locked version in its range; what is known against them is asked for."""

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(TEXT)["project"]
WANTED = [
    Requirement(line)
    for line in (
        *PROJECT["dependencies"],
        *(one for extra in PROJECT["optional-dependencies"].values() for one in extra),
    )
]
PINS = {
    canonicalize_name(name): version
    for name, _, version in (
        line.partition("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    )
}


@pytest.mark.parametrize("wanted", WANTED, ids=lambda one: one.name)
def test_each_dependency_is_locked_to_a_version_in_its_range(wanted: Requirement) -> None:
    if canonicalize_name(wanted.name) == PROJECT["name"]:
        return  # an extra of our own
    version = PINS.get(canonicalize_name(wanted.name))
    assert version is not None, f"{wanted.name} is not in constraints.txt: `make lock`"
    assert wanted.specifier.contains(version, prereleases=True)


def test_each_dependency_has_its_reason_beside_it() -> None:
    lines = [line.strip() for line in TEXT.splitlines()]
    entries = [line for line in lines if re.match(r'"[A-Za-z0-9_.-]+(\[\w+\])?([<>=;].*)?",', line)]
    named = [line for line in entries if any(line.startswith(f'"{one.name}') for one in WANTED)]
    assert len(named) >= len(WANTED)
    assert [line for line in named if not re.search(r'",\s+#\s\S.{3,}', line)] == []


def test_each_version_is_locked_exactly_and_once() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip()]
    wrong = [
        line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9.]*", line)
    ]
    assert wrong == []
    assert len(PINS) == len(lines)


@contextmanager
def advisories(known: dict[str, str]) -> Iterator[tuple[str, set[str]]]:
    """A service like osv.dev that knows these, name -> id; and the names that it was asked for."""
    asked: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = body["package"]["name"]
            asked.add(name)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(_told(name, known.get(name))).encode())

        def log_message(self, *_: object) -> None:
            """Tell nobody."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query", asked
        server.shutdown()


def _told(name: str, found: str | None) -> dict[str, Any]:
    if found is None:
        return {}
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999"}]}]
    affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": ranges}]
    return {"vulns": [{"id": found, "summary": "", "details": "", "affected": affected}]}


def audit(url: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", "audit", f"AUDIT_URL={url}", *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_an_audit_finds_what_is_known_and_never_passes_unasked() -> None:
    with advisories({"torch": "TEST-1"}) as (url, asked):
        found = audit(url)
        passed_over = audit(url, "AUDIT_OPTIONS=--ignore-vuln TEST-1")
    with advisories({}) as (url, _):
        clean = audit(url)
    silent = audit("http://127.0.0.1:9/v1/query")

    assert asked == set(PINS)
    assert (found.returncode, passed_over.returncode, clean.returncode) == (2, 0, 0)
    assert "TEST-1" in found.stdout
    assert "No known vulnerabilities found" in clean.stdout
    assert silent.returncode == 2
    assert "nothing was audited: http://127.0.0.1:9/v1/query gave no answer" in silent.stdout
