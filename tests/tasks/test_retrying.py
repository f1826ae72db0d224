"""A step is tried again when the world failed it, not when its input did."""

from typing import Any, cast

import httpx
import pytest
from prefect.states import Failed
from sqlalchemy.exc import OperationalError

from astrid_training.errors import StoreCorruptError
from tasks.retrying import is_transient


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (OperationalError("SELECT 1", {}, Exception("gone")), True),
        (httpx.ConnectError("refused"), True),
        (httpx.ReadTimeout("slow"), True),
        (httpx.RemoteProtocolError("closed"), True),
        (StoreCorruptError("digest"), False),
        (httpx.InvalidURL("bad"), False),
        (KeyError("bug"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, again: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    nobody = cast("Any", None)

    assert is_transient(nobody, nobody, Failed(data=error)) is again
