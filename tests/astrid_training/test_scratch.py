"""Working arrays are the same memory again, and nobody else's."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from astrid_training.scratch import room


def test_a_room_is_the_same_memory_until_more_is_asked_for() -> None:
    first = room("some test", (4, 5), np.float64)
    again = room("some test", (3, 2))
    other = room("another test", (3, 2))

    assert np.shares_memory(first, again)
    assert not np.shares_memory(again, other)
    assert again.shape == (3, 2)
    assert again.dtype == np.float32
    assert room("some test", (400, 5), np.float64).shape == (400, 5)


def test_each_thread_has_its_own() -> None:
    mine = room("some test", (4, 5))

    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(room, "some test", (4, 5)).result()

    assert not np.shares_memory(mine, theirs)
