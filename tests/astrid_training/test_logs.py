"""Several processes write one log: no line is lost or torn, and it does not grow without end."""

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from astrid_training.logs import SharedLog, keep_log, naming

WRITE = """
import logging, sys
from pathlib import Path
from astrid_training.logs import SharedLog
logger = logging.getLogger("writer")
logger.setLevel("INFO")
logger.addHandler(SharedLog(Path(sys.argv[1]), limit_bytes=20_000, kept=50))
for number in range(1000):
    logger.info("line %s.%d of a log", sys.argv[2], number)
"""


def test_of_what_several_processes_write_no_line_is_lost_or_torn(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "flows.log"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, str(path), str(number)], stderr=subprocess.PIPE
        )
        for number in range(4)
    ]
    assert [process.communicate(timeout=60)[1] for process in processes] == [b""] * 4

    files = [one for one in path.parent.iterdir() if one.suffix != ".lock"]
    lines = [line for file in files for line in file.read_text().splitlines()]
    told = sorted(line.partition(" | ")[2] for line in lines)
    assert told == sorted(f"line {p}.{n} of a log" for p in range(4) for n in range(1000))
    assert len(files) > 5
    assert all(one.stat().st_size < 20_500 for one in files)


@pytest.fixture
def logger(tmp_path: Path) -> logging.Logger:
    logger = logging.getLogger(f"test of {tmp_path.name}")
    logger.setLevel("INFO")
    return logger


def test_former_parts_beyond_those_kept_go(tmp_path: Path, logger: logging.Logger) -> None:
    logger.addHandler(SharedLog(tmp_path / "log", limit_bytes=100, kept=2))

    for number in range(20):
        logger.info("line %d %s", number, "x" * 100)

    assert sorted(one.name for one in tmp_path.iterdir()) == ["log.1", "log.2", "log.lock"]
    assert "line 19" in (tmp_path / "log.1").read_text()
    assert "line 18" in (tmp_path / "log.2").read_text()


def test_each_line_names_what_it_is_about(tmp_path: Path, logger: logging.Logger) -> None:
    path = tmp_path / "log"
    keep_log(path, (logger.name,))
    keep_log(path, (logger.name,))

    with naming(run="collect all"):
        logger.info("one")
        with naming(batch="1a2b"), ThreadPoolExecutor(1) as pool:
            logger.info("two", extra={"task_run_name": "cut"})
            pool.submit(logger.info, "three").result()
        logger.info("four")

    ends = [line.split(" ", 4)[4] for line in path.read_text().splitlines()]
    assert ends == [
        "run='collect all' | one",
        "run='collect all' step=cut batch=1a2b | two",
        " | three",  # another thread, which nobody told
        "run='collect all' | four",
    ]
