"""What a child needs that is forked by a process in which a flow ran: torch's DataLoader forks its workers."""

import asyncio
import functools
import os

from prefect._internal.concurrency import services

__all__ = ["let_children_end"]


@functools.cache
def let_children_end() -> None:
    """Let children that are forked from now on end as if no flow had run here.

    At its end a child drains Prefect's services, whose threads only its parent has. Prefect forgets in
    a child when they were done and asserts that it knows; the child then ends with code 1, and
    torch calls its worker dead at the end of each epoch.
    """
    os.register_at_fork(after_in_child=_call_services_done)


def _call_services_done() -> None:
    for service in list(services._active_services):  # noqa: SLF001 - no public name leads there
        done = asyncio.Event()
        done.set()
        service._done_event = done  # noqa: SLF001
