"""Other people's tools to compare with, in a folder of their own: `make peers`.

They stand behind everything that is installed, so that no version of ours changes. L.A.Cosmic of
astroscrappy is a dependency and always there.
"""

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent.parent / ".peers"


def peer(name: str) -> ModuleType | None:
    """Return a module of a peer, such as `sep` or `photutils.background`; None where it is not installed."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0]:
            raise  # a peer that is there and lacks a part of its own is a fault of peers.txt
        return None


def mosaic(name: str) -> ModuleType | None:
    """Return a module of MosaicML's streaming, such as `streaming.base.format.mds.writer`, or None.

    Its packages are entered without running their `__init__`, which would import torchvision and
    transformers for data sets of pictures and texts.
    """
    if peer("xxhash") is None:
        return None
    for package in ("streaming", "streaming.base"):
        spec = find_spec(package)
        if spec is None:
            return None
        sys.modules.setdefault(package, module_from_spec(spec))
    return peer(name)
