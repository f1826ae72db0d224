"""Digests depend on content alone."""

import subprocess
import sys

import pytest

from astrid_training.digests import (
    canonical_json,
    digest_many,
    digest_value,
    sample_key,
    unit_hash,
)


def test_the_order_of_keys_does_not_matter() -> None:
    assert digest_value({"a": 1, "b": [2, None]}) == digest_value({"b": [2, None], "a": 1})


def test_parts_are_kept_apart() -> None:
    assert digest_many(["ab", "c"]) != digest_many(["a", "bc"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}])
def test_what_is_not_json_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        canonical_json(value)


def test_keys_and_hashes_are_the_same_in_another_process() -> None:
    code = (
        "from astrid_training.digests import *;"
        "print(sample_key('det', 'x'), digest_value({'a': 1}), unit_hash('s', 'k'))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "7"},
    ).stdout.split()

    assert out == [sample_key("det", "x"), digest_value({"a": 1}), str(unit_hash("s", "k"))]


def test_a_sample_key_tells_kinds_apart() -> None:
    assert len({sample_key("det", "x"), sample_key("sky", "x"), sample_key("det", "y")}) == 3
