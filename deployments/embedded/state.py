"""What the stack remembers between commands: processes, ports and addresses."""

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from deployments.embedded.processes import ProcessRecord

__all__ = ["Remembered", "RunState"]


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of one part; after `down` only port and address are left."""

    process: ProcessRecord | None = None
    port: int | None = None
    """Taken again at the next start if it is free, so that bookmarks stay true."""
    url: str | None = None
    """Where the part answers; for the worker, which Prefect API it serves."""


class RunState:
    """`run/stack.json` of a home: read at the start, written whole at each change."""

    def __init__(self, home: Path) -> None:
        self._path = home / "run" / "stack.json"
        self._lock = threading.Lock()
        self._parts = _read(self._path)

    def __getitem__(self, part: str) -> Remembered:
        return self._parts.get(part, Remembered())

    def __setitem__(self, part: str, remembered: Remembered) -> None:
        with self._lock:
            self._parts[part] = remembered
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = self._path.with_suffix(".partial")
            partial.unlink(missing_ok=True)
            partial.touch(mode=0o600)
            content = {name: asdict(one) for name, one in self._parts.items()}
            partial.write_text(json.dumps(content, indent=2), encoding="utf-8")
            partial.replace(self._path)

    def forget_process(self, part: str) -> None:
        """Note that the part was stopped on purpose."""
        known = self[part]
        self[part] = Remembered(None, known.port, known.url)


def _read(path: Path) -> dict[str, Remembered]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            part: Remembered(
                ProcessRecord(**kept["process"]) if kept["process"] else None,
                kept["port"],
                kept["url"],
            )
            for part, kept in content.items()
        }
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return {}  # processes are found again by their environment, ports chosen anew
