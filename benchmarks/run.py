"""Run all benchmarks and write RESULTS.md: `make bench`."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import build_core, leaks, loader, masks, publishing, selection
from benchmarks.timing import ROUNDS, machine

HEAD = """# Results

{machine}, {day}. Medians of {rounds} rounds with the sides interleaved, processor time.
The last column is the ratio to the side before it; ratios are what to compare between machines.

| benchmark | ours | limit or peer | ratio |
| --- | --- | --- | --- |
"""


def main() -> None:
    """Run every benchmark, print the table and keep it."""
    lines = [
        *build_core.report(),
        *masks.report(),
        *loader.report(),
        *selection.report(),
        *leaks.report(),
        *publishing.report(),
    ]
    head = HEAD.format(machine=machine(), day=f"{datetime.now(UTC):%Y-%m-%d}", rounds=ROUNDS)
    page = head + "\n".join(lines) + "\n"
    Path(__file__).with_name("RESULTS.md").write_text(page, encoding="utf-8")
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
