"""What the flow's own process does beside its workers: Prefect, records, lineage, at 10,000 samples.

A whole collection by the real flow, on a Prefect server, an MLflow and a PostgreSQL of their own. Each
round collects with other pixels, so that each builds anew; rounds that found everything built would
flatter. Three rounds, for each takes half a minute.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from astrid_training.settings import prefect_environment, resolve
from benchmarks.rows import Row, at_most
from benchmarks.scale import SAMPLES, survey

ROUNDS = 3


def report() -> list[Row]:
    """Return the rows of processor time, task runs, and imports."""
    from deployments.embedded.stack import discard, up

    with survey(SAMPLES) as (engine, home, _), TemporaryDirectory() as folder:
        servers = Path(folder) / "home"
        try:
            up(servers)
            url = engine.url.render_as_string(hide_password=False)
            settings = resolve(servers, database_url=url, store_url=f"file://{home}/store")
            os.environ.update(prefect_environment(settings))
            # not sooner: Prefect reads its settings when it is imported
            from deployments.bootstrap import save_blocks

            save_blocks(settings)
            rounds = [_in_a_process(number) for number in range(ROUNDS)]
        finally:
            discard(servers)
    cpu = median(one["flow_cpu_s"] for one in rounds)
    imports = median(one["import_cpu_s"] for one in rounds)
    tasks = max(one["task_runs"] for one in rounds)
    wall = median(one["wall_s"] for one in rounds)
    return [
        Row(
            f"the flow's process at {SAMPLES:,} samples, from its first line to its last",
            f"{cpu:.1f} CPU-s",
            f"the whole takes {wall:.1f} s of wall time",
            None,
            at_most(cpu, 4, "CPU-s"),
        ),
        Row("task runs of it", f"{tasks}", "", None, at_most(tasks, 80, "task runs")),
        Row(
            "imports of flow and MLflow before it",
            f"{imports:.1f} CPU-s",
            "",
            None,
            at_most(imports, 4, "CPU-s"),
        ),
    ]


def _in_a_process(number: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.orchestration", "--collect", str(number)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    sys.stderr.write(f"{told}\n")
    return told


def _collect(number: int) -> None:
    """Run the flow here and print what it took."""
    import resource
    import time
    from uuid import UUID

    import mlflow  # noqa: F401 - a row of its own
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    from flows.collect import training_data_collection_flow

    imported, begun = time.process_time(), time.perf_counter()
    outcome = training_data_collection_flow(
        name=f"orchestration {number}",
        survey_ids=["sim_ztf"],
        max_samples=1_000_000,
        quality_score_threshold=0,
        trigger_training=False,
        preprocess={"softening": 2.5 + number / 8},
    )
    used, took = time.process_time() - imported, time.perf_counter() - begun
    if not isinstance(outcome, dict):
        raise TypeError(f"the flow ended as {outcome}")
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(outcome["flow_run_id"])]))
    with get_client(sync_client=True) as client:
        tasks = len(client.read_task_runs(flow_run_filter=of_run, limit=200))
    told = {
        "flow_cpu_s": used,
        "import_cpu_s": imported,
        "wall_s": took,
        "task_runs": tasks,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__" and sys.argv[1:2] == ["--collect"]:
    _collect(int(sys.argv[2]))
