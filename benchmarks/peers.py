"""Other people's tools to compare with, in a folder of their own: `make peers`.

They stand behind everything that is installed, so that no version of ours changes.
"""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent.parent / ".peers"


def peer(name: str) -> ModuleType | None:
    """Return the module `name`, such as `sep`; None where it is not installed."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0]:
            raise  # a peer that is there and lacks a part of its own is a fault of peers.txt
        return None
