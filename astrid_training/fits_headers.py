"""Values of a FITS header by keyword, each parsed when it is asked for."""

import re
from collections.abc import Sequence
from typing import Any

from astrid_training.fits_guard import CARD

__all__ = ["Keywords"]

PLAIN = re.compile(
    r"= +(?:(?P<whole>[+-]?\d+)|(?P<number>[+-]?(?:\d+\.\d*|\.\d+)(?:E[+-]?\d+)?)"
    r"|(?P<flag>[TF])|'(?P<text>[^'&]*)') *(?:/.*)?"
)
"""Values in the standard's own form; all others are astropy's to read."""
OF_ANOTHER_IMAGE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|[PG]COUNT|GROUPS|BSCALE|BZERO|TFIELDS|BLANK"
)
"""What a primary header says of its own data only."""


class Keywords:
    """The cards of a header, and beneath them those of the file's primary header.

    Args:
        raw: cards of 80 printable ASCII characters, without END.
        below: the primary header of an extension.
    """

    def __init__(self, raw: bytes, below: "Keywords | None" = None) -> None:
        self._below = below
        text = raw.decode("ascii")
        cards = [text[start : start + CARD] for start in range(0, len(text), CARD)]
        if "CONTINUE" in text or "HIERARCH" in text:
            self._cards = _long_cards(cards)
        else:  # backwards, so that the first card of a keyword counts
            self._cards = {card[:8].rstrip().upper(): card for card in reversed(cards)}

    def over(self, below: "Keywords") -> "Keywords":
        """Return these keywords with those of the primary header beneath."""
        merged = Keywords(b"", below)
        merged._cards = self._cards
        return merged

    def card(self, keyword: str) -> str | None:
        """Return the first card of this keyword, with those that continue it, or None."""
        card = self._cards.get(keyword)
        if card is None and self._below is not None and not OF_ANOTHER_IMAGE.fullmatch(keyword):
            return self._below.card(keyword)
        return card

    def cards(self) -> dict[str, str]:
        """Return the first card of each keyword, those of the primary header first."""
        if self._below is None:
            return dict(self._cards)
        below = {
            keyword: card
            for keyword, card in self._below.cards().items()
            if not OF_ANOTHER_IMAGE.fullmatch(keyword)
        }
        return below | self._cards

    def __contains__(self, keyword: str) -> bool:
        return self.card(keyword) is not None

    def __getitem__(self, keyword: str) -> Any:  # noqa: ANN401 - whatever the card holds
        if keyword not in self:
            raise KeyError(f"no keyword {keyword}")
        return self.get(keyword)

    def get(self, keyword: str, default: Any = None) -> Any:  # noqa: ANN401 - whatever the card holds
        """Return the value of a keyword: bool, int, float, complex or str; None where it is empty.

        Raises:
            VerifyError: astropy's, for a card that cannot be parsed.
        """
        card = self.card(keyword)
        if card is None:
            return default
        plain = PLAIN.fullmatch(card, 8) if len(card) == CARD else None
        if plain is None:
            return _parsed(card)
        if plain["text"] is not None:
            return plain["text"].rstrip()
        if plain["flag"]:
            return plain["flag"] == "T"
        return int(plain["whole"]) if plain["whole"] else float(plain["number"])


def _long_cards(cards: Sequence[str]) -> dict[str, str]:
    """Return the first card of each keyword, with what continues it; keywords of any length."""
    found: dict[str, str] = {}
    last = ""
    for card in cards:
        keyword = card[:8].rstrip().upper()
        if keyword == "CONTINUE":
            if last:
                found[last] += card
            continue
        if keyword == "HIERARCH":
            keyword = card[8:].partition("=")[0].strip().upper()
        last = "" if keyword in found else keyword
        if last:
            found[last] = card
    return found


def _parsed(card: str) -> Any:  # noqa: ANN401 - whatever the card holds
    from astropy.io.fits import Card  # heavy, and most cards are plain
    from astropy.io.fits.card import Undefined

    value = Card.fromstring(card).value
    return None if isinstance(value, Undefined) else value
