"""What the steps of a run took is read back as it was, in order, and its sums hold."""

from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from astrid_training.meter import Usage
from astrid_training.records import Downloaded, Reject, StampsRef, StepMetrics
from astrid_training.run_metrics import (
    as_numbers,
    read_run_metrics,
    step_metrics,
    summed,
    whole_metrics,
    write_run_metrics,
)

RUN = str(uuid4())
LOST = [Reject("k", "download_fits", "truncated")]


def downloads() -> list[StepMetrics]:
    usage = Usage(cpu_s=0.5, worker_cpu_s=1.0, fetched_bytes=7 << 40, written_bytes=3, retries=1)
    return [
        step_metrics("download_fits", 2.0, usage, 10, Downloaded([], LOST, [])),
        step_metrics("download_fits", 1.0, Usage(), 5, Downloaded([], [], []), cached=True),
    ]


def test_batches_are_summed_step_by_step() -> None:
    cut = step_metrics("preprocess", 4.0, Usage(), 9, StampsRef("s", 8, LOST))

    first, second = summed([cut, *downloads()])

    assert first == StepMetrics(
        "download_fits", 3.0, 0.5, 1.0, 7 << 40, 3, 15, 14, 1, runs=2, cached=1, retries=1
    )
    assert second == cut
    assert first.samples_per_s == 5


def test_metrics_are_read_back_in_the_order_of_the_steps(database: Engine) -> None:
    late = step_metrics("persist_dataset", 1.0, Usage(), 4, None)
    written = summed([late, *downloads()])

    write_run_metrics(database, RUN, written)
    write_run_metrics(database, str(uuid4()), [late])

    assert [one.step for one in written] == ["download_fits", "persist_dataset"]
    assert read_run_metrics(database, RUN) == written
    assert read_run_metrics(database, str(uuid4())) == []


def test_what_comes_later_takes_the_place_of_what_was_known(database: Engine) -> None:
    first, second = downloads()
    write_run_metrics(database, RUN, [first])

    write_run_metrics(database, RUN, summed([first, second]))

    assert read_run_metrics(database, RUN) == summed([first, second])


def test_samples_that_do_not_add_up_are_not_kept(database: Engine) -> None:
    wrong = replace(downloads()[0], rejects=0)

    with pytest.raises(IntegrityError):
        write_run_metrics(database, RUN, [wrong])


def test_the_whole_has_the_orchestration_beside_its_steps() -> None:
    *steps, whole = whole_metrics(downloads(), wall_s=2.5, cpu_s=0.9)

    assert whole.cpu_s > sum(one.cpu_s for one in steps)
    assert whole.worker_cpu_s == 1.0
    assert whole.retries == 1
    assert (whole.samples_in, whole.samples_out) == (0, 0)  # nothing was published


def test_numbers_have_names_of_their_step() -> None:
    numbers = as_numbers(summed(downloads()))

    assert numbers["collection.download_fits.wall_s"] == 3
    assert numbers["collection.download_fits.samples_per_s"] == 5
