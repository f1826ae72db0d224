"""The reconciling flow as a process of its own, with less patience than its parameters allow: seconds of silence come, findings go out."""

import json
import sys
from inspect import unwrap
from typing import Any

from astrid_training.settings import apply_environment, resolve


def main() -> None:
    apply_environment(resolve())
    from prefect import flow  # reads its settings when it comes

    from astrid_training.reconcile import ReconcileParams
    from flows.reconcile import reconcile_flow

    limits = ReconcileParams.model_construct(
        grace_minutes=0, silence_minutes=float(sys.argv[1]) / 60, history_days=7
    )
    reconcile: Any = flow(name="reconcile")(unwrap(reconcile_flow.fn))
    found = reconcile(limits)
    sys.stdout.write(f"FOUND {json.dumps(found['findings'])}\n")


if __name__ == "__main__":
    main()
