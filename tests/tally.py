"""What the tests marked `trust` did, in figures: `make trust` prints them and keeps them in the docs.

With `--trust` these tests run longer: `thorough` is true, and hypothesis tries more cases.
"""

import platform
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest

__all__ = [
    "Tally",
    "pytest_addoption",
    "pytest_configure",
    "pytest_pyfunc_call",
    "pytest_terminal_summary",
    "tally",
    "thorough",
]

FIGURES = (
    "fault schedules run",
    "faults injected",
    "processes killed",
    "recoveries",
    "corruptions planted",
    "corruptions found",
    "repairs",
    "cases fuzzed",
    "requests served",
    "collections under load",
    "memory at the start of the soak, MB",
    "memory at its end, MB",
)
"""In the order of the table; each is the sum of what tests tell."""
PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "trust.md"
BEGIN, END = "<!-- figures of `make trust` -->", "<!-- end of figures -->"
Tally = Callable[[str, int], None]

hypothesis.settings.register_profile("trust", max_examples=2000, deadline=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--trust`."""
    parser.addoption("--trust", action="store_true", help="run longer, and print what was done")
    parser.addoption("--trust-page", action="store_true", help="keep it in the documentation too")


def pytest_configure(config: pytest.Config) -> None:
    """Let hypothesis try more where more is asked."""
    if config.getoption("--trust"):
        hypothesis.settings.load_profile("trust")


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Tally:
    """Return what adds to a figure."""

    def add(figure: str, number: int) -> None:
        assert figure in FIGURES
        record_property(figure, number)

    return add


@pytest.fixture(scope="session")
def thorough(request: pytest.FixtureRequest) -> bool:
    """Tell whether the test has minutes, not seconds."""
    return bool(request.config.getoption("--trust"))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Count the cases that hypothesis tries in a test marked `trust`."""
    handle = getattr(pyfuncitem.obj, "hypothesis", None)
    if handle is None or pyfuncitem.get_closest_marker("trust") is None:
        return (yield)
    inner, cases = handle.inner_test, Counter[str]()

    def counted(*args: Any, **kwargs: Any) -> Any:
        cases["tried"] += 1
        return inner(*args, **kwargs)

    handle.inner_test = counted
    try:
        return (yield)
    finally:
        handle.inner_test = inner
        pyfuncitem.user_properties.append(("cases fuzzed", cases["tried"]))


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    """Print the table, and keep it where it is asked for and nothing failed."""
    if not config.getoption("--trust"):
        return
    reports = [one for many in terminalreporter.stats.values() for one in many]
    told = Counter[str]()
    for report in reports:
        if getattr(report, "when", None) == "call":
            told.update({name: int(number) for name, number in report.user_properties})
    rows = [f"| {name} | {told[name]:,} |" for name in FIGURES if name in told]
    table = "\n".join(["| figure | |", "| --- | ---: |", *rows])
    terminalreporter.write_line(table)
    if config.getoption("--trust-page") and exitstatus == 0:
        keep(table)


def keep(table: str) -> None:
    """Write the table into the documentation, with the day and the machine."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    machine = f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total >> 30} GB, Python {platform.python_version()}"
    told = f"{datetime.now(UTC):%Y-%m-%d}, {machine}:\n\n{table}"
    PAGE.write_text(f"{before}{BEGIN}\n\n{told}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")
