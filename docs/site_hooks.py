"""What the site has beside the pages of this folder: its navigation, results, changes, the notebook.

docs/index.md is the table of contents, once, for readers of the repository and of the site.
"""

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
BESIDE = {
    "benchmarks/RESULTS.md": "reference/results.md",
    "CHANGELOG.md": "changelog.md",
    "notebooks/training/real_data_loading.ipynb": "tutorials/real_data_loading.md",
}
"""File of the repository -> page of the site."""
HEADING = re.compile(r"^## (.*?)(?::.*)?$|^(Decisions), each", re.MULTILINE)
LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the navigation from the headings and links of index.md."""
    index = (Path(config.docs_dir) / "index.md").read_text(encoding="utf-8")
    parts = HEADING.split(index)[1:]
    nav: list[dict[str, Any]] = [{"Home": "index.md"}]
    for heading, decisions, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        links = [_inside(target) for _, target in LINK.findall(text)]
        pages = [one for one in links if one.endswith(".md")]
        if decisions:
            nav[-1][next(iter(nav[-1]))].append({decisions: pages})
        else:
            nav.append({heading: pages})
    nav.append({"Changes": "changelog.md"})
    config.nav = nav
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere in the repository."""
    for source, page in BESIDE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        content = _as_markdown(json.loads(text)) if source.endswith(".ipynb") else text
        files.append(File.generated(config, page, content=_relinked(content, source, page)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs passes them by name
    """Let links that leave this folder lead to the pages made of what they name."""
    source = f"docs/{page.file.src_uri}"
    return _relinked(markdown, source, page.file.src_uri)


def _relinked(text: str, source: str, page: str) -> str:
    """Return the text of a file of the repository with its links as they are on the site."""

    def link(match: re.Match[str]) -> str:
        title, target = match.groups()
        if ":" in target:
            return match.group()
        there = (ROOT / source).parent.joinpath(target).resolve()
        if not there.is_relative_to(ROOT):
            return match.group()
        inside = _inside(there.relative_to(ROOT).as_posix())
        up = "../" * (len(Path(page).parents) - 1)
        return f"[{title}]({up}{inside}"

    return LINK.sub(link, text)


def _inside(target: str) -> str:
    """Return the site's page of a path from the repository's root or from docs."""
    plain = target.removeprefix("../").removeprefix("docs/")
    return BESIDE.get(plain, plain)


def _as_markdown(notebook: dict[str, Any]) -> str:
    cells = []
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        cells.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join(cells)
