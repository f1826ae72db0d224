"""A process in which a flow ran can fork, as torch's DataLoader does."""

import multiprocessing
from collections.abc import Callable

import pytest
from prefect import flow, get_run_logger

from tasks.forking import let_children_end


@flow
def talk() -> None:
    """Start what Prefect runs in the background for each flow: its logs and events."""
    get_run_logger().info("here")


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("work", [int, lambda: talk()], ids=["nothing", "a flow"])
def test_a_child_of_a_process_that_ran_a_flow_ends_well(work: Callable[[], object]) -> None:
    talk()
    let_children_end()

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(60)

    assert child.exitcode == 0
