"""Reports as parsers and browsers see them."""

import json
import re
import shutil
import subprocess
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect
from websockets.sync.connection import Connection

VOID = {"meta", "img", "br", "link", "input", "hr"}
NAMES = ("chromium", "chromium-browser", "google-chrome")
PICTURES = """Promise.all([...document.images].map(
    image => image.decode().then(() => image.naturalWidth > 0, () => false)))"""
TIMING = "performance.getEntriesByType('navigation')[0].loadEventEnd"


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that tags are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())

    def values(self, tag: str, name: str) -> list[str]:
        return [v for t, n, v in self.attributes if (t, n) == (tag, name)]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="session")
def parse() -> Callable[[Path], Page]:
    """What reads a report."""
    return lambda path: Page(path.read_text(encoding="utf-8"))


@dataclass
class Browser:
    """One tab, without a network."""

    connection: Connection
    requests: list[str] = field(default_factory=list)
    """Addresses that the last page asked for, its own and data in it left out."""
    complaints: list[str] = field(default_factory=list)
    """What stood in the console of the last page."""
    number: int = 0

    def open(self, page: Path, *, dark: bool = False, width: int = 1280) -> None:
        """Load a file and wait for all of it."""
        self.requests, self.complaints = [], []
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.ask(f"{domain}.enable")
        offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.ask("Network.emulateNetworkConditions", **offline)
        self.ask("Emulation.setEmulatedMedia", features=scheme)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Page.navigate", url=page.as_uri())
        while self.value("document.readyState + location.href") != f"complete{page.as_uri()}":
            time.sleep(0.02)
        time.sleep(0.05)  # the load event ends after the state is complete
        self.requests = [
            url for url in self.requests if url != page.as_uri() and not url.startswith("data:")
        ]

    def value(self, script: str) -> Any:
        """Return what JavaScript, a promise perhaps, comes to."""
        answer = self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def pictures(self) -> list[bool]:
        """Return for each picture of the page whether it decodes."""
        return list(self.value(PICTURES))

    def load_ms(self) -> float:
        """Return how long the page took from the start to the end of its load event."""
        return float(self.value(TIMING))

    def screenshot(self, *, whole: bool = False) -> bytes:
        """Return a PNG of the page."""
        answer = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        return b64decode(answer["data"])

    def pdf(self) -> bytes:
        """Return the page as it prints."""
        return b64decode(self.ask("Page.printToPDF", printBackground=True)["data"])

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its answer, noting what is told meanwhile."""
        self.number += 1
        self.connection.send(
            json.dumps({"id": self.number, "method": method, "params": parameters})
        )
        while True:
            told = json.loads(self.connection.recv(timeout=60))
            if told.get("id") == self.number:
                assert "error" not in told, told
                return dict(told["result"])
            self._note(told["method"], told["params"])

    def _note(self, event: str, told: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        if event == "Log.entryAdded":
            self.complaints.append(told["entry"]["text"])
        if event in {"Runtime.exceptionThrown", "Runtime.consoleAPICalled"}:
            self.complaints.append(json.dumps(told))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A tab of Chromium; the test is skipped where there is none."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    folder = tmp_path_factory.mktemp("chromium")
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--user-data-dir={folder}", "about:blank"], stdout=log, stderr=log
        )
    try:
        with connect(_tab(folder), max_size=None, proxy=None) as connection:
            yield Browser(connection)
    finally:
        process.terminate()
        process.wait()


def _tab(folder: Path) -> str:
    deadline = time.monotonic() + 60
    while not (folder / "DevToolsActivePort").exists():
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.05)
    port = (folder / "DevToolsActivePort").read_text().split()[0]
    tabs = httpx.get(f"http://127.0.0.1:{port}/json", trust_env=False).json()
    return str(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))
