"""What astropy says of a file: its errors are refusals, its warnings are logged once."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from astrid_training.errors import FitsRefusedError
from astrid_training.fits_guard import refusal
from astrid_training.parts import AbsentBytesError

__all__ = ["log_once", "logged_warnings", "refused_content"]

_log = logging.getLogger("astrid_training.fits")
_recording = threading.Lock()  # Python's warning filters belong to the whole process


@contextmanager
def refused_content(name: str) -> Iterator[None]:
    """Turn what astropy says of a file's content into a refusal.

    Args:
        name: of the file, for messages.

    Raises:
        FitsRefusedError: `bad_header` for cards that cannot be parsed, else `unreadable`.
        OSError: if not the content failed but this machine, which may pass.
    """
    from astropy.io.fits import VerifyError  # heavy; imported only where files are read

    try:
        yield
    except (FitsRefusedError, MemoryError, AbsentBytesError):
        raise
    except VerifyError as error:
        raise refusal("bad_header", f"{name}: {error}") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise refusal("unreadable", f"{name}: {error}") from error


@contextmanager
def logged_warnings(path: Path) -> Iterator[None]:
    """Log the warnings that arise inside, once for the file at `path`."""
    with _recording, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    messages = sorted({" ".join(f"{w.category.__name__}: {w.message}".split()) for w in caught})
    if messages:
        log_once(str(path), "; ".join(messages))


@lru_cache(maxsize=4096)  # a reference is read once an exposure, and says the same each time
def log_once(name: str, message: str) -> None:
    """Log what is odd about the file of this name, unless that was said before."""
    _log.warning("%s: %s", name, message)
