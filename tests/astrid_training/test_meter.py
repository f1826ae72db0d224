"""What is measured is what this thread asked for, wherever it was done."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import thread_time

from astrid_training import meter
from astrid_training.meter import Meter, Usage, measuring
from astrid_training.store import Store
from astrid_training.workers import Workers


def test_a_threads_bytes_are_its_own_and_those_of_its_pools(tmp_path: Path) -> None:
    store = Store(f"file://{tmp_path}")
    store.put("x", bytes(1000))

    def work(times: int) -> Usage:
        meter_of_it = Meter()
        with measuring(meter_of_it):
            store.put(f"y{times}", memoryview(bytes(8 * times)))
            with meter.pool(4) as pool:
                list(pool.map(store.get, ["x"] * times))
            meta = store.head("x")
            assert meta
            store.save("x", meta.size, meta.etag, tmp_path / f"copy{times}")
        return meter_of_it.usage

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(work, [1, 3])

    assert (first.fetched_bytes, first.written_bytes) == (2000, 8)
    assert (second.fetched_bytes, second.written_bytes) == (4000, 24)


def test_processor_time_is_the_threads_and_ends_with_the_block() -> None:
    taken = Meter()
    with measuring(taken):
        begun = thread_time()
        while thread_time() < begun + 0.05:
            pass
    assert 0.05 <= taken.usage.cpu_s < 0.1

    meter.count(retries=1)
    assert taken.usage.retries == 0


def test_a_worker_tells_its_time_and_its_bytes_once(tmp_path: Path) -> None:
    pool, taken = Workers(1), Meter()
    store = Store(f"file://{tmp_path}")

    with measuring(taken):
        pool.run(store_bytes, store.url, 5000)
    first = taken.take()
    with measuring(taken):
        pool.run(max, 1, 2)
    second = taken.take()
    pool.close()

    assert first.written_bytes == 5000
    assert first.worker_cpu_s > 0.05  # its start is work too
    assert second.written_bytes == 0
    assert 0 <= second.worker_cpu_s < 0.05


def store_bytes(url: str, count: int) -> None:
    Store(url).put("z", bytes(count))
