import ast
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import run
from benchmarks.rows import Row, at_least

FOLDER = Path(run.__file__).parent


def make_section(name: str, ratio: float) -> str:
    return run.section(name, [str(Row(f"row of {name}", "1", "2", ratio, at_least(ratio, 2)))], 3.2)


def defines_report(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(isinstance(node, ast.FunctionDef) and node.name == "report" for node in body)


def test_every_module_with_a_report_is_run() -> None:
    there = {path.stem for path in FOLDER.glob("*.py") if defines_report(path)}

    assert there <= set(run.NAMES)


def test_a_benchmark_that_cannot_start_is_a_row_with_its_cause() -> None:
    rows, fault = run.measure("no_such_benchmark")

    assert fault == "ModuleNotFoundError: No module named 'benchmarks.no_such_benchmark'"
    assert rows == [str(Row("no_such_benchmark", f"failed: {fault}"))]


def test_a_benchmark_that_hangs_is_stopped_and_said() -> None:
    rows, fault = run.measure("leaks", limit_s=0.01)

    assert fault == "took more than 0 s"
    assert len(rows) == 1


def test_one_that_fails_fails_the_run_but_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("no_such_one", "no_such_other")
    monkeypatch.setattr(run, "RESULTS", tmp_path / "RESULTS.md")
    monkeypatch.setattr(run, "NAMES", names)

    assert run.main([]) == 1
    assert tuple(run.read_sections(tmp_path / "RESULTS.md")) == names


def test_a_page_counts_goals_and_names_the_missed_in_the_order_of_the_collection() -> None:
    page = run.page({name: make_section(name, ratio) for name, ratio in CASES.items()})

    assert "2 of 3 goals are met. Missed: row of masks." in page
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## masks",
        "## leaks",
        "## scale:100000",
    ]


CASES = {"scale:100000": 3.0, "leaks": 2.0, "masks": 1.0}


def test_what_was_not_run_again_stays_as_it_was(tmp_path: Path) -> None:
    sections = {name: make_section(name, ratio) for name, ratio in CASES.items()}
    kept = tmp_path / "RESULTS.md"
    kept.write_text(run.page(sections), encoding="utf-8")

    again = run.read_sections(kept)

    assert again == sections
    assert run.page(again) == run.page(sections)


def test_sections_of_benchmarks_that_are_gone_are_dropped(tmp_path: Path) -> None:
    kept = tmp_path / "RESULTS.md"
    kept.write_text("# Results\n" + make_section("gone", 1) + make_section("masks", 1))

    assert list(run.read_sections(kept)) == ["masks"]


def test_one_that_does_not_exist_is_refused_before_any_runs() -> None:
    with pytest.raises(SystemExit, match=r"no benchmark named nothing:5; there are build_core, "):
        run.main(["leaks", "nothing:5"])


@pytest.mark.parametrize(("ratio", "says_why"), [(1.9, True), (2.1, False)])
def test_why_a_goal_is_missed_stands_under_the_table_while_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ratio: float, *, says_why: bool
) -> None:
    row = Row("copied", "1 s", "theirs 2 s", ratio, at_least(ratio, 2))
    benchmark = SimpleNamespace(report=lambda: [row], WHY_MISSED="\nMemory is slow.\n")
    monkeypatch.setitem(sys.modules, "benchmarks.copying", benchmark)

    run.tell(tmp_path / "rows", "copying")

    lines = (tmp_path / "rows").read_text(encoding="utf-8").splitlines()
    assert lines[1:] == (["", "Memory is slow."] if says_why else [])
