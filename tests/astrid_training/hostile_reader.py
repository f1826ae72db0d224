"""Reads each file of a folder in a child of its own, and says what came of it, as JSON lines."""

import json
import logging
import os
import resource
import signal
import sys
import time
from pathlib import Path

import astropy.io.fits  # imported here, so that no child pays for it
import astropy.wcs  # noqa: F401 - the same

from astrid_training.errors import FitsRefusedError
from astrid_training.fits import check_fits
from astrid_training.surveys import profile_for, read_frame

SECONDS = 30  # a child that is still at it is killed
ADDRESS_SPACE = 3 << 30


def outcome(path: Path) -> str:
    try:
        check_fits(path)
        read_frame(path, profile_for("generic"), "science").data.sum()
    except FitsRefusedError as error:
        return error.reason if error.detail.isprintable() else "unprintable"
    return "read"


def watched(path: Path) -> dict[str, object]:
    readable, writable = os.pipe()
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        signal.alarm(SECONDS)
        try:
            said = outcome(path)
        except BaseException as error:  # noqa: BLE001 - the table shows whatever it was
            said = f"{type(error).__name__}: {error}"
        os.write(writable, said.encode())
        os._exit(0)
    os.close(writable)
    _, status, usage = os.wait4(child, 0)
    said = os.read(readable, 10_000).decode() or f"killed by signal {os.WTERMSIG(status)}"
    os.close(readable)
    return {
        "name": path.name,
        "outcome": said,
        "seconds": round(time.monotonic() - begun, 3),
        "peak_mb": round(usage.ru_maxrss / 1024),
    }


if __name__ == "__main__":
    logging.disable()
    profile_for("generic")
    for one in sorted(Path(sys.argv[1]).iterdir()):
        print(json.dumps(watched(one)), flush=True)
