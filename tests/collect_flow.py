"""The collecting flow as a process of its own, so that it can be killed: parameters come as JSON, the outcome goes out."""

import json
import sys

from astrid_training.settings import apply_environment, resolve


def main() -> None:
    apply_environment(resolve())
    from flows.collect import (
        training_data_collection_flow,  # Prefect reads its settings when it comes
    )

    outcome = training_data_collection_flow(**json.loads(sys.argv[1]))
    sys.stdout.write(f"OUTCOME {json.dumps(outcome)}\n")


if __name__ == "__main__":
    main()
