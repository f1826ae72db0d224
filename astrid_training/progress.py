"""How far long work is, for whoever watches a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress"]


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[], None]]:
    """Show a bar where there is a terminal; yield what is to be called after each of the steps.

    Args:
        total: number of steps.
        what: the words before the bar.
    """
    if total == 0 or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console  # only who looks on pays for it
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
