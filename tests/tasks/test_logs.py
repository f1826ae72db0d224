"""What a flow says costs it nothing, whoever has stopped to listen."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SPEAK = """
import sys
from prefect import flow
from prefect.logging import get_run_logger
from tasks.logs import keep_flow_log

@flow
def speak():
    keep_flow_log()
    print("begun", flush=True)
    sys.stdin.readline()
    for number in range(3):
        get_run_logger().info("line %d", number)
        print("said", number, flush=True)

speak()
"""


def test_a_flow_goes_on_when_the_reader_of_its_output_has_died(stack: Any, tmp_path: Path) -> None:
    assert stack
    home = tmp_path / "home"
    process = subprocess.Popen(
        [sys.executable, "-c", SPEAK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "ASTRID_TRAINING_HOME": str(home)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    while "begun" not in (line := process.stdout.readline()):
        assert line, "it ended at its start"

    process.stdout.close()
    process.stdin.write("go on\n")
    process.stdin.close()

    assert process.wait(timeout=180) == 0
    log = (home / "logs" / "flows.log").read_text()
    assert [f"line {number}" in log for number in range(3)] == [True, True, True]
