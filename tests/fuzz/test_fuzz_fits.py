"""Whatever was done to a FITS file: an image comes out, or a reason that is documented."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrid_training.reasons import REASONS
from tests.fuzz.amounts import cases
from tests.fuzz.fits_mutations import damaged_files, sound_files

MOST_SECONDS = 10.0
MOST_MB = 700


def check(found: dict[str, Any]) -> None:
    assert found["outcome"] in {"read", *REASONS}, found["outcome"]
    assert found["seconds"] < MOST_SECONDS
    assert found["peak_mb"] < MOST_MB


@pytest.mark.parametrize("name", sound_files())
def test_each_file_that_is_damaged_below_was_sound(bounded: Any, name: str) -> None:
    assert bounded.read_bytes("fits", "a.fits", sound_files()[name])["outcome"] == "read"


@pytest.mark.trust
@cases(15, 1200)
@given(content=damaged_files())
def test_a_damaged_file_is_read_or_refused_with_a_reason(bounded: Any, content: bytes) -> None:
    check(bounded.read_bytes("fits", "a.fits", content))


CARDS = st.builds(
    "{:<8}{}{}".format,
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8),
    st.sampled_from(["= ", "  ", "=", " ="]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=70),
)
SIDES = st.integers(-2, 12) | st.integers()


@pytest.mark.trust
@cases(15, 1000)
@given(
    bits=st.sampled_from([8, 16, 32, 64, -32, -64]) | st.integers(),
    sides=st.lists(SIDES, max_size=5),
    cards=st.lists(CARDS, max_size=6),
    data=st.binary(max_size=3000),
)
def test_a_header_of_any_cards_is_read_or_refused_with_a_reason(
    bounded: Any, bits: int, sides: list[int], cards: list[str], data: bytes
) -> None:
    first = ["SIMPLE  = T", f"BITPIX  = {bits}", f"NAXIS   = {len(sides)}"]
    first += [f"NAXIS{number}  = {side}" for number, side in enumerate(sides, 1)]
    text = "".join(card.ljust(80)[:80] for card in [*first, *cards, "END"])
    head = text.ljust(-(-len(text) // 2880) * 2880).encode("ascii")

    check(bounded.read_bytes("fits", "a.fits", head + data))


def test_a_name_that_cannot_be_parsed_is_a_bad_header(bounded: Any) -> None:
    content = sound_files()["planes"]
    at = content.index(b"EXTNAME = 'DQ")
    card = b"EXTNAME = 'DQ' 'DQ'".ljust(80)
    found = bounded.read_bytes("fits", "a.fits", content[:at] + card + content[at + 80 :])

    assert found["outcome"] in {"read", "bad_header"}
