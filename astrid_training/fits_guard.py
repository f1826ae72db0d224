"""Headers of FITS files by themselves: what they declare must be sane and must be there."""

import math
import zlib
from io import SEEK_END, BytesIO
from typing import BinaryIO

from astrid_training.errors import FitsRefusedError

__all__ = ["GUARD_VERSION", "GZIP_MAGIC", "check_hdus", "refusal", "unpack"]

GUARD_VERSION = 1
"""Raised when the guard judges any file otherwise: refused files are then looked at again."""

GZIP_MAGIC = b"\x1f\x8b"
MAX_UNPACKED_BYTES = 256 << 20
MAX_HDUS = 16
MAX_PIXELS = 400_000_000
MAX_TILE_PIXELS = 1 << 26
MAX_HEADER_BLOCKS = 1000
BLOCK = 2880
CARD = 80
CHUNK = 1 << 20
BITPIX = {8, 16, 32, 64, -32, -64}
PRINTABLE = bytes(range(0x20, 0x7F))

Cards = dict[str, str]


def refusal(reason: str, detail: str) -> FitsRefusedError:
    """Return the error for a refused file, its `detail` made one line of printable text.

    What a hostile header says ends in messages, and PostgreSQL takes no NUL.
    """
    readable = "".join(character if character.isprintable() else " " for character in detail)
    return FitsRefusedError(reason, " ".join(readable.split()))


def unpack(stream: BinaryIO, name: str) -> bytes:
    """Return the gunzipped bytes of `stream`, all members.

    Raises:
        FitsRefusedError: `gzip_bomb` above the cap, `bad_gzip` if the stream is damaged.
    """
    unpacked = bytearray()
    inflate = zlib.decompressobj(wbits=31)
    data = stream.read(CHUNK)
    try:
        while data:
            unpacked += inflate.decompress(data, MAX_UNPACKED_BYTES + 1 - len(unpacked))
            if len(unpacked) > MAX_UNPACKED_BYTES:
                raise refusal("gzip_bomb", f"{name} is over {MAX_UNPACKED_BYTES} bytes")
            if inflate.eof:
                data = (inflate.unused_data or stream.read(CHUNK)).lstrip(b"\0")
                inflate = zlib.decompressobj(wbits=31) if data else inflate
            else:
                data = inflate.unconsumed_tail or stream.read(CHUNK)
    except zlib.error as error:
        raise refusal("bad_gzip", f"{name}: {error}; fetch it again") from error
    if not inflate.eof:
        raise refusal("bad_gzip", f"{name} ends inside its gzip stream; fetch it again")
    return bytes(unpacked)


def check_hdus(stream: BinaryIO, name: str) -> None:
    """Return if each HDU of the uncompressed FITS `stream` is sane and complete.

    Raises:
        FitsRefusedError: with a reason code and the facts.
    """
    size = stream.seek(0, SEEK_END)
    stream.seek(0)
    position, images, number = 0, 0, 0
    while True:
        cards = _read_cards(stream, f"{name} HDU {number}", first=number == 0)
        if cards is None:
            break
        if number == MAX_HDUS:
            raise refusal("too_many_hdus", f"{name} has more than {MAX_HDUS} HDUs")
        data_bytes, is_image = _check_hdu(cards, f"{name} HDU {number}")
        position = stream.tell() + data_bytes
        if position > size:
            raise refusal(
                "truncated",
                f"{name} HDU {number} ends at byte {position}, the file at {size}; fetch it again",
            )
        images, number = images + is_image, number + 1
        stream.seek(stream.tell() + -(-data_bytes // BLOCK) * BLOCK)
    if not images:
        raise refusal("no_image", f"{name} holds no image")


def _read_cards(stream: BinaryIO, where: str, *, first: bool) -> Cards | None:
    """Return the next header's values as text by keyword; None where no header follows."""
    block = stream.read(BLOCK)
    if first:
        _check_magic(block, where)
    elif not block.startswith(b"XTENSION"):  # the standard allows other records at the end
        return None
    cards: Cards = {}
    for _ in range(MAX_HEADER_BLOCKS):
        if len(block) < BLOCK:
            break
        if _collect(block, cards, where):
            return cards
        block = stream.read(BLOCK)
    raise refusal("no_end", f"{where}: the header has no END card")


def _check_magic(block: bytes, where: str) -> None:
    if block.startswith(b"SIMPLE  ="):
        return
    if BytesIO(block).read(512).lstrip().startswith(b"<"):
        raise refusal("html_page", f"{where} is a web page, perhaps an error message")
    raise refusal("not_fits", f"{where} starts with {block[:9]!r}, not 'SIMPLE  ='")


def _collect(block: bytes, cards: Cards, where: str) -> bool:
    """Add the block's cards to `cards`; tell whether END was among them."""
    for start in range(0, BLOCK, CARD):
        card = block[start : start + CARD]
        if card[:8] == b"END     ":
            return True
        if card.translate(None, PRINTABLE):
            raise refusal("bad_header", f"{where}: {card!r} is not printable ASCII")
        if card[8:10] == b"= ":
            cards.setdefault(card[:8].decode("ascii").rstrip(), _value(card[10:].decode("ascii")))
    return False


def _value(text: str) -> str:
    text = text.strip()
    if text.startswith("'"):
        return text[1:].split("'", 1)[0].rstrip()
    return text.split("/", 1)[0].strip()


def _check_hdu(cards: Cards, where: str) -> tuple[int, bool]:
    """Return the bytes of data that the header declares, and whether they are an image."""
    kind = cards.get("XTENSION", "IMAGE")
    bits = _integer(cards, "BITPIX", where)
    if bits not in BITPIX:
        raise refusal("bad_bitpix", f"{where}: BITPIX is {bits}")
    axes = _axes(cards, "NAXIS", where)
    compressed = cards.get("ZIMAGE") == "T"
    if kind == "IMAGE":
        _check_shape(axes, where)
    if kind == "IMAGE" or compressed:
        _check_scaling(cards, where)
    if compressed:
        _check_tiles(cards, axes, where)
    groups = _integer(cards, "GCOUNT", where, 1)
    extra = _integer(cards, "PCOUNT", where, 0)
    if groups < 0 or extra < 0:
        raise refusal("bad_header", f"{where}: GCOUNT {groups}, PCOUNT {extra}")
    count = math.prod(axes) if axes else 0
    is_image = compressed or (kind == "IMAGE" and bool(axes))
    return abs(bits) // 8 * groups * (extra + count), is_image


def _axes(cards: Cards, keyword: str, where: str) -> list[int]:
    number = _integer(cards, keyword, where)
    if not 0 <= number <= 4:
        raise refusal("bad_axes", f"{where}: {keyword} is {number}, not 0 to 4")
    axes = [_integer(cards, f"{keyword}{axis + 1}", where) for axis in range(number)]
    if any(side < 0 for side in axes):
        raise refusal("bad_axes", f"{where}: sides {axes}")
    return axes


def _check_shape(axes: list[int], where: str) -> None:
    if 0 in axes:
        raise refusal("bad_axes", f"{where}: an image with sides {axes}")
    if math.prod(axes) > MAX_PIXELS:
        raise refusal("too_many_pixels", f"{where}: sides {axes}, over {MAX_PIXELS} px")


def _check_scaling(cards: Cards, where: str) -> None:
    for keyword in ("BSCALE", "BZERO"):
        text = cards.get(keyword)
        if text is None:
            continue
        try:
            value = float(text.replace("D", "E").replace("d", "e"))
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or (keyword == "BSCALE" and value == 0):
            raise refusal("bad_scaling", f"{where}: {keyword} is {text}")


def _check_tiles(cards: Cards, axes: list[int], where: str) -> None:
    image = _axes(cards, "ZNAXIS", where)
    _check_shape(image, where)
    row_tiles = [image[0], *(1 for _ in image[1:])] if image else []
    tile = [
        _integer(cards, f"ZTILE{axis + 1}", where, default)
        for axis, default in enumerate(row_tiles)
    ]
    if not tile or min(tile) < 1 or math.prod(tile) > MAX_TILE_PIXELS:
        raise refusal("bad_tiles", f"{where}: tiles of {tile} on sides {image}")
    expected = math.prod(-(-side // step) for side, step in zip(image, tile, strict=True))
    if len(axes) != 2 or axes[1] != expected:
        raise refusal("bad_tiles", f"{where}: {axes} rows for {expected} tiles")


def _integer(cards: Cards, keyword: str, where: str, default: int | None = None) -> int:
    text = cards.get(keyword)
    if text is None and default is not None:
        return default
    try:
        return int(text or "")
    except ValueError:
        raise refusal("bad_header", f"{where}: {keyword} is {text!r}") from None
