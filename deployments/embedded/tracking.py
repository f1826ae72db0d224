"""MLflow's server, once its database has this version's schema.

MLflow serves no database of an older version and leaves the upgrade to a command; both are run in one
process, because importing MLflow takes seconds.
"""

import runpy
import sys

from mlflow.db import commands

__all__ = ["main"]


def main() -> None:
    """Run MLflow's command line; the first argument is the database's URL, the others are MLflow's."""
    commands(["upgrade", sys.argv.pop(1)], standalone_mode=False)
    runpy.run_module("mlflow", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
