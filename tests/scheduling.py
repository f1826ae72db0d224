"""Which test runs in which process, and when: a file in one, all that use the stack in the same."""

import functools
import re
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first, as `_OneStack` hands tests out in their order."""
    items.sort(
        key=lambda item: (not _asks_for_stack(item.path), "deployments" not in item.path.parts)
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Return what hands tests out to processes."""
    return _OneStack(config, log)


class _OneStack(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """A file stays in one process, and all files that ask for the stack in one: only that starts it."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "stack" if _asks_for_stack(ROOT / file) else file


@functools.cache
def _asks_for_stack(file: Path) -> bool:
    """Tell by a file's text, for who hands tests out knows no more of them than their names."""
    return (
        re.search(
            r'\b(stack|ready|lone_stack): |"stack"|client: SyncPrefectClient',
            file.read_text(encoding="utf-8"),
        )
        is not None
    )
