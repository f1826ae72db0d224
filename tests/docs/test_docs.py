"""What the docs say is there: pages, pictures, commands, reasons."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from astrid_training.reasons import ALERT_REASONS, REASONS
from deployments.pages import PAGES, all_commands

ROOT = Path(__file__).parents[2]
DOCS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#([^)]*))?\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
OWN_FOLDERS = r"training/|api/|home/you/|var/lib/astrid-training|data/"
"""What a page may name by an absolute path: examples, routes, where the embedded database lies."""
FORBIDDEN = re.compile(
    rf"(?<![\w.:/~$}}>)\-\]*])/(?!{OWN_FOLDERS})[a-z]+/|(?:file://)?/(?:tmp|opt)/"
    r"|artifactory|pypi\.|simple/|handbook|TODO|FIXME|lorem",
    re.I,
)
REFUSALS = {
    "AlertRefusedError": 0,
    "FitsRefusedError": 0,
    "refusal": 0,
    "StampRefusedError": 0,
    "Reject": 2,
}
"""Call -> which argument is the reason."""
JUDGES = {"_outcome", "_problem"}
"""Functions that return a reason, alone or first."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", DOCS, ids=name_of)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        there = page.parent / target
        assert there.exists(), target
        assert not anchor or anchor in headings(there), f"{target}#{anchor}"


def headings(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / target).resolve() for target, _ in LINK.findall(index.read_text())}

    assert {page.resolve() for page in (ROOT / "docs").rglob("*.md")} - {index} <= linked


def test_every_picture_is_shown_and_is_light() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in DOCS)
    for picture in (ROOT / "docs" / "images").iterdir():
        assert f"images/{picture.name})" in text, picture.name
        assert picture.stat().st_size < 300_000, picture.name


@pytest.mark.parametrize("page", DOCS, ids=name_of)
def test_no_page_tells_of_one_machine(page: Path) -> None:
    assert not FORBIDDEN.search(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_made_from_the_code_equals_the_code(name: str) -> None:
    page = ROOT / "docs" / "reference" / name

    assert page.read_text(encoding="utf-8") == PAGES[name](), "run python -m deployments.pages"


def shell_lines() -> Iterator[str]:
    """Every command of the docs' consoles, without its comment."""
    for page in DOCS:
        for language, text in FENCE.findall(page.read_text(encoding="utf-8")):
            if language == "console":
                for line in re.findall(r"^\$ (.*)$", text, re.MULTILINE):
                    yield line.split("  #")[0].strip()


def test_commands_and_options_of_the_docs_exist() -> None:
    known = all_commands()
    groups = {name.split()[0] for name in known if " " in name}
    used = [line.split() for line in shell_lines() if line.startswith("astrid-training ")]
    assert len(used) > 10
    for _, command, *words in used:
        if command in groups:
            command, *words = f"{command} {words[0]}", *words[1:]
        options = {name for one in known[command].params for name in one.opts} | {"--help"}
        given = {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)}
        assert given <= options, (command, given - options)


def test_make_targets_of_the_docs_are_listed_by_make() -> None:
    listed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    targets = {line.split()[0] for line in listed.splitlines() if line}
    used = {line.split()[1] for line in shell_lines() if line.startswith("make ")}

    assert {"demo", "test"} <= used <= targets


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )

    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    pages = {page.relative_to(ROOT / "docs").with_suffix(".html") for page in DOCS[2:]}
    made = {page.relative_to(tmp_path) for page in tmp_path.rglob("*.html")}
    assert pages <= made
    home = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<(?:script|img|link)[^>]+(?:src|href)=\"https?:", home)


def test_python_in_the_docs_compiles() -> None:
    blocks = [
        text
        for page in DOCS
        for language, text in FENCE.findall(page.read_text(encoding="utf-8"))
        if language == "python"
    ]
    assert blocks
    for block in blocks:
        compile(block, "docs", "exec")


def reasons_in_code() -> set[str]:
    """Return the reasons that are written out in the library."""
    return {
        constant.value
        for path in (ROOT / "astrid_training").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for place in places_of_reasons(node)
        for constant in branches(place)
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
    }


def places_of_reasons(node: ast.AST) -> Iterator[ast.expr | None]:
    """Yield what a node refuses with, assigns to a reason, or returns from a judging function."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=args) if len(args) > REFUSALS.get(name, 99):
            yield args[REFUSALS[name]]
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
            yield from (value for name, value in zip(names, values, strict=True) if holds(name))
        case ast.Assign(targets=[ast.Name(id="problems")], value=ast.Dict(keys=keys)):
            yield from keys
        case ast.Assign(targets=[target], value=value) if holds(target):
            yield value
        case ast.FunctionDef(name=name) if name in JUDGES or name.endswith("_problems"):
            for one in ast.walk(node):
                if isinstance(one, ast.Return):
                    yield from told(one.value)


def told(value: ast.expr | None) -> list[ast.expr | None]:
    """Return where a reason may stand: a tuple's first place, a mapping's keys, the value itself."""
    if isinstance(value, ast.Dict):
        return list(value.keys)
    return [value.elts[0] if isinstance(value, ast.Tuple) else value]


def holds(target: ast.expr) -> bool:
    return ast.unparse(target) in {"reason", "row['reason']"}


def branches(value: ast.expr | None) -> list[ast.expr | None]:
    return [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]


def test_every_reason_in_the_code_has_a_meaning() -> None:
    found = reasons_in_code()

    assert {"below_confidence", "beyond_max_samples", "missing_object", "no_difference"} <= found
    assert {"bad_centre", "contradiction", "off_image", "target_masked", "truncated"} <= found
    assert {"bad_cutout", "cut_short", "not_an_alert"} <= found
    assert found <= REASONS.keys() | ALERT_REASONS.keys()
