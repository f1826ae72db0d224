"""The soak in its short form: some rounds and kills, all invariants, no trends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deployments.small_survey import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.trust]

LIMIT_S = 900
GROWTH = 1.25
"""Of the memory of all processes, most of it warming up."""


def test_a_short_soak_holds_all_invariants(tmp_path: Path, tally: Any) -> None:
    program = [sys.executable, "-m", "tests.load.soak", "--minutes", "1.5", "--every", "2"]
    with (tmp_path / "log").open("wb") as log:
        soak = subprocess.Popen(
            [*program, "--told", str(tmp_path)],
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            soak.wait(LIMIT_S)
        finally:
            if soak.poll() is None:
                soak.send_signal(signal.SIGTERM)  # it takes its stack down
                soak.wait(120)
    assert soak.returncode == 0, (tmp_path / "log").read_text()[-5000:]
    told = json.loads((tmp_path / "summary.json").read_text())
    assert told["rounds"] >= 2
    assert told["counts"]["recovered"] == told["counts"]["killed"] >= 1
    assert told["memory_end_mb"] < GROWTH * told["memory_start_mb"]
    tally("processes killed", told["counts"]["killed"])
    tally("recoveries", told["counts"]["recovered"])
    tally("requests served", told["counts"]["requests"])
    tally("collections under load", told["counts"]["collections"])
    tally("memory at the start of the soak, MB", told["memory_start_mb"])
    tally("memory at its end, MB", told["memory_end_mb"])
