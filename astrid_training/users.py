"""Who asks."""

import os
from getpass import getuser

__all__ = ["user_name"]


def user_name() -> str:
    """Return the name of the user whom the operating system runs this process for."""
    try:
        return getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"
