"""The fault matrix names tests that there are, and has an answer for each step and fault."""

import ast
import re
from pathlib import Path

from tests.deployments.test_kills_at_each_step import STEPS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "fault-matrix.md"
LEGEND = re.compile(r"^\| ([A-Z]) \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def table() -> list[list[str]]:
    """Return the cells of the matrix, row by row, the header first."""
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return [row for row in cells if len(row) == len(STEPS) + 1 and row[0] != "---"]


def test_each_test_of_the_matrix_is_there() -> None:
    legend = dict(LEGEND.findall(PAGE.read_text("utf-8")))

    assert legend
    for tests in legend.values():
        found = NAMED.findall(tests)
        assert found
        for file, name in found:
            tree = ast.parse((ROOT / file).read_text("utf-8"))
            assert name in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, name


def test_each_step_has_an_answer_to_each_fault() -> None:
    header, *faults = table()
    legend = dict(LEGEND.findall(PAGE.read_text("utf-8")))

    assert [name.strip("`") for name in header[1:]] == list(STEPS)
    assert len(faults) > 10
    told = {cell for row in faults for cell in row[1:]}
    letters = {letter.strip("()") for cell in told - {"–"} for letter in cell.split(", ")}
    assert letters == set(legend)
