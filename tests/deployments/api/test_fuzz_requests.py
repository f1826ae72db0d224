"""Requests of any bytes are answered, and what is refused is a problem."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from deployments.api import create_app
from tests.fuzz.amounts import cases

DOCUMENT = create_app().openapi()
OPERATIONS = [(verb.upper(), path) for path, verbs in DOCUMENT["paths"].items() for verb in verbs]
NEEDS_PREFECT = ("/training/datasets/collect", "/training/runs/")
NAMES = sorted(
    {
        one["name"]
        for verbs in DOCUMENT["paths"].values()
        for told in verbs.values()
        for one in told.get("parameters", [])
    }
)
ODD = st.sampled_from(
    [
        *(
            b"{}",
            b"[]",
            b"null",
            b"{",
            b'{"a":1,"a":2}',
            b"\xff\xfe{\0}\0",
            b"\xef\xbb\xbf{}",
            b"[" * 5000,
        ),
        *(
            b'{"name": "\\ud800"}',
            b'{"name": "\\u0000"}',
            b'{"max_samples": 1e999}',
            b"NaN",
            b'"x"',
        ),
        *(
            b'{"max_samples": ' + b"9" * 4400 + b"}",
            b'{"survey_ids": ' + b"[" * 900 + b"]" * 900 + b"}",
        ),
        *(
            b'{"survey_ids": ["a\\u0000"]}',
            b'{"date_range": ["0001-01-01T00:00:00+14:00", "2026-01-01"]}',
        ),
        *(b'{"repeat_after_days": 1e300}', b'{"count": 1e300}', b'{"cone": [1e999, -1e999, 0]}'),
    ]
)
QUERY = st.text(
    st.sampled_from("abcdefnul=&%0;+/?#\\'\"<>\u00e9\u202e[]{}0123456789-"), max_size=40
)
PAIRS = st.builds(
    "{}={}".format,
    st.sampled_from(NAMES),
    st.text(max_size=12) | st.sampled_from(["%00", "%ff", "1e9"]),
)


@pytest.mark.trust
@cases(25, 1000)
@given(
    operation=st.sampled_from(OPERATIONS),
    segment=st.text(min_size=1, max_size=20)
    | st.sampled_from(["%00", "%2e%2e", "..", "%ff", "a;b"]),
    query=QUERY | st.lists(PAIRS, max_size=4).map("&".join),
    body=ODD | st.binary(max_size=200),
    kind=st.sampled_from(["application/json", "text/plain", "multipart/form-data", "", "x", "é"]),
)
def test_no_request_makes_it_fail(
    api: TestClient, operation: tuple[str, str], segment: str, query: str, body: bytes, kind: str
) -> None:
    verb, path = operation
    asked = "".join(
        one if not one.startswith("{") else segment
        for one in path.replace("{", "\n{").replace("}", "}\n").split("\n")
    )
    answer: Any = api.request(
        verb,
        httpx_safe(f"{asked}?{query}"),
        content=body if verb == "POST" else None,
        headers={"Content-Type": kind.encode("utf-8")},
    )
    is_away = answer.status_code == 503 and path.startswith(NEEDS_PREFECT)

    assert answer.status_code < 500 or is_away, answer.text
    if answer.status_code >= 400:
        assert json.loads(answer.content)["type"].startswith("urn:astrid-training:problem:")


def httpx_safe(address: str) -> str:
    """Return the address without what the client itself refuses."""
    return "".join(
        one for one in address if one.isprintable() and one.isascii() and one not in '"<> {}|\\^`#'
    )
