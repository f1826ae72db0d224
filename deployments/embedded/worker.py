"""The process worker, with a folder of its own for temporary files.

Prefect keeps a runner's files in one folder of the machine's temporary directory; it belongs to the
user who came first, and another user's worker ends at its start. Flow runs are left their TMPDIR.
"""

import runpy
import sys
import tempfile

__all__ = ["main"]


def main() -> None:
    """Run Prefect's command line; the first argument is the folder, the others are Prefect's."""
    tempfile.tempdir = sys.argv.pop(1)
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
