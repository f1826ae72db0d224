"""Headers of FITS files by themselves: what they declare must be sane and must be there."""

import math
import re
import zlib
from dataclasses import dataclass
from io import SEEK_END, BytesIO
from typing import BinaryIO

from astrid_training.errors import FitsRefusedError

__all__ = [
    "BLOCK",
    "CARD",
    "GUARD_VERSION",
    "GZIP_MAGIC",
    "Cards",
    "Hdu",
    "check_hdus",
    "guard_version",
    "refusal",
    "unpack",
]

GUARD_VERSION = 2
"""Raised when the guard judges any file otherwise: refused files are then looked at again."""

GZIP_MAGIC = b"\x1f\x8b"
MAX_UNPACKED_BYTES = 256 << 20
MAX_HDUS = 16
MAX_PIXELS = 400_000_000
MAX_TILE_PIXELS = 1 << 26
MAX_DECODED_BYTES = 1 << 30  # of a tile-compressed image: as much as a plain file may have
MAX_HEADER_BLOCKS = 250  # 9,000 cards; the long headers of real surveys have 2,000
MAX_GZIP_MEMBERS = 10_000
BLOCK = 2880
CARD = 80
END = b"END     "
CHUNK = 1 << 16
INFLATE = 1 << 20  # what one call may unpack
BITPIX = {8, 16, 32, 64, -32, -64}
IMAGES = {"IMAGE", "IUEIMAGE"}
PRINTABLE = bytes(range(0x20, 0x7F))
STRUCTURAL = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|[PG]COUNT|GROUPS|BSCALE|BZERO|BLANK|TFIELDS|TFORM\d+|THEAP"
    r"|Z(IMAGE|BITPIX|NAXIS\d*|TILE\d+|CMPTYPE)"
)
"""Keywords that say where bytes are: two readers must not differ on which of two cards counts."""
LOOKED_AT = re.compile(rf"({STRUCTURAL.pattern}|CHECKSUM|DATASUM|TTYPE\d+|ZNAME\d+|ZVAL\d+) *= ")

Cards = dict[str, str]


@dataclass(frozen=True, slots=True)
class Hdu:
    """One HDU of a file: where its bytes are, and what they hold."""

    where: str
    """File and number, for messages."""
    cards: Cards
    """Values as text by keyword, of those that say how the data lie and what they must keep."""
    raw: bytes
    """The header's cards as they stand in the file, 80 bytes each, without END."""
    start: int
    """Byte at which the header begins."""
    data: int
    """Byte at which the data begin."""
    data_bytes: int
    """Without padding."""
    bits: int
    """BITPIX."""
    is_image: bool
    is_compressed: bool
    """A table whose rows are the tiles of an image."""

    @property
    def end(self) -> int:
        """The byte after the data and their padding."""
        return self.data + -(-self.data_bytes // BLOCK) * BLOCK


def guard_version(*, verify_checksums: bool = True) -> int:
    """Return what a verdict is remembered under: one that asks less never answers for one that asks all."""
    return GUARD_VERSION if verify_checksums else -GUARD_VERSION


def refusal(reason: str, detail: str) -> FitsRefusedError:
    """Return the error for a refused file, its `detail` made one line of printable text.

    What a hostile header says ends in messages, and PostgreSQL takes no NUL.
    """
    readable = "".join(character if character.isprintable() else " " for character in detail)
    return FitsRefusedError(reason, " ".join(readable.split()))


def unpack(stream: BinaryIO, name: str) -> BytesIO:
    """Return the gunzipped bytes of `stream`, all members, in one buffer of bounded size.

    Raises:
        FitsRefusedError: `gzip_bomb` above the cap, `bad_gzip` if the stream is damaged.
    """
    unpacked = BytesIO()
    inflate = zlib.decompressobj(wbits=31)
    members = 1
    data = stream.read(CHUNK)
    try:
        while data:
            unpacked.write(inflate.decompress(data, INFLATE))
            if unpacked.tell() > MAX_UNPACKED_BYTES:
                raise refusal("gzip_bomb", f"{name} is over {MAX_UNPACKED_BYTES} bytes")
            if not inflate.eof:
                data = inflate.unconsumed_tail or stream.read(CHUNK)
                continue
            data = (inflate.unused_data or stream.read(CHUNK)).lstrip(b"\0")
            if data:
                inflate, members = zlib.decompressobj(wbits=31), members + 1
            if members > MAX_GZIP_MEMBERS:
                raise refusal("bad_gzip", f"{name} has over {MAX_GZIP_MEMBERS} gzip members")
    except zlib.error as error:
        raise refusal("bad_gzip", f"{name}: {error}; fetch it again") from error
    if not inflate.eof:
        raise refusal("bad_gzip", f"{name} ends inside its gzip stream; fetch it again")
    unpacked.seek(0)
    return unpacked


def check_hdus(stream: BinaryIO, name: str) -> list[Hdu]:
    """Return the HDUs of the uncompressed FITS `stream`, each sane and complete.

    Raises:
        FitsRefusedError: with a reason code and the facts.
    """
    size = stream.seek(0, SEEK_END)
    stream.seek(0)
    hdus: list[Hdu] = []
    while True:
        start = stream.tell()
        where = f"{name} HDU {len(hdus)}"
        read = _read_cards(stream, where, first=not hdus)
        if read is None:
            break
        if len(hdus) == MAX_HDUS:
            raise refusal("too_many_hdus", f"{name} has more than {MAX_HDUS} HDUs")
        hdu = _check_hdu(*read, where, start, stream.tell())
        if hdu.data + hdu.data_bytes > size:
            raise refusal(
                "truncated",
                f"{where} ends at byte {hdu.data + hdu.data_bytes}, the file at {size}; "
                "fetch it again",
            )
        hdus.append(hdu)
        stream.seek(hdu.end)
    if not any(hdu.is_image for hdu in hdus):
        raise refusal("no_image", f"{name} holds no image")
    return hdus


def _read_cards(stream: BinaryIO, where: str, *, first: bool) -> tuple[Cards, bytes] | None:
    """Return the next header's values as text by keyword and its cards; None where none follows."""
    block = stream.read(BLOCK)
    if first:
        _check_magic(block, where)
    elif not block.startswith(b"XTENSION"):  # the standard allows other records at the end
        return None
    cards: Cards = {}
    raw: list[bytes] = []
    for _ in range(MAX_HEADER_BLOCKS):
        if len(block) < BLOCK:
            raise refusal("no_end", f"{where}: the header has no END card")
        end = _end(block)
        raw.append(block[:end])
        _collect(raw[-1], cards, where)
        if end < BLOCK:
            return cards, b"".join(raw)
        block = stream.read(BLOCK)
    raise refusal("huge_header", f"{where}: the header is over {MAX_HEADER_BLOCKS * BLOCK} bytes")


def _end(block: bytes) -> int:
    """Return where the END card begins, or the length of the block."""
    end = block.find(END)
    while end % CARD and end > 0:  # in a comment
        end = block.find(END, end + 1)
    return BLOCK if end < 0 else end


def _check_magic(block: bytes, where: str) -> None:
    if block.startswith(b"SIMPLE  ="):
        return
    if BytesIO(block).read(512).lstrip().startswith(b"<"):
        raise refusal("html_page", f"{where} is a web page, perhaps an error message")
    raise refusal("not_fits", f"{where} starts with {block[:9]!r}, not 'SIMPLE  ='")


def _collect(block: bytes, cards: Cards, where: str) -> None:
    """Add those of the block's cards that the guard looks at to `cards`."""
    if block.translate(None, PRINTABLE):
        _refuse_unprintable(block, where)
    text = block.decode("ascii")
    for start in range(0, len(text), CARD):
        match = LOOKED_AT.match(text, start, start + 10)
        if match and match.end() == start + 10:
            keyword = match[1]
            value = _value(text[start + 10 : start + CARD])
            if cards.setdefault(keyword, value) != value and STRUCTURAL.fullmatch(keyword):
                raise refusal("bad_header", f"{where}: {keyword} is {cards[keyword]} and {value}")


def _refuse_unprintable(block: bytes, where: str) -> None:
    for start in range(0, len(block), CARD):
        card = block[start : start + CARD]
        if card.translate(None, PRINTABLE):
            raise refusal("bad_header", f"{where}: {card!r} is not printable ASCII")


def _value(text: str) -> str:
    text = text.strip()
    if text.startswith("'"):
        return text[1:].split("'", 1)[0].rstrip()
    return text.split("/", 1)[0].strip()


def _check_hdu(cards: Cards, raw: bytes, where: str, start: int, data: int) -> Hdu:
    """Return what the header declares, if that makes sense."""
    kind = cards.get("XTENSION", "IMAGE")
    bits = _integer(cards, "BITPIX", where)
    if bits not in BITPIX:
        raise refusal("bad_bitpix", f"{where}: BITPIX is {bits}")
    axes = _axes(cards, "NAXIS", where)
    compressed = cards.get("ZIMAGE") == "T"
    if kind in IMAGES and axes:
        _check_shape(axes, where)
    if kind in IMAGES or compressed:
        _check_scaling(cards, where)
    if compressed:
        _check_tiles(cards, axes, where)
    groups = _integer(cards, "GCOUNT", where, 1)
    extra = _integer(cards, "PCOUNT", where, 0)
    if groups < 0 or extra < 0:
        raise refusal("bad_header", f"{where}: GCOUNT {groups}, PCOUNT {extra}")
    count = math.prod(axes) if axes else 0
    data_bytes = abs(bits) // 8 * groups * (extra + count)
    is_image = compressed or (kind in IMAGES and bool(axes))
    return Hdu(where, cards, raw, start, data, data_bytes, bits, is_image, compressed)


def _axes(cards: Cards, keyword: str, where: str) -> list[int]:
    number = _integer(cards, keyword, where)
    if not 0 <= number <= 4:
        raise refusal("bad_axes", f"{where}: {keyword} is {number}, not 0 to 4")
    axes = [_integer(cards, f"{keyword}{axis + 1}", where) for axis in range(number)]
    if any(side < 0 for side in axes):
        raise refusal("bad_axes", f"{where}: sides {axes}")
    return axes


def _check_shape(axes: list[int], where: str) -> None:
    if 0 in axes or len(axes) < 2:
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
    bits = _integer(cards, "ZBITPIX", where)
    if bits not in BITPIX:
        raise refusal("bad_bitpix", f"{where}: ZBITPIX is {bits}")
    if math.prod(image) * abs(bits) // 8 > MAX_DECODED_BYTES:
        raise refusal(
            "too_many_pixels", f"{where}: sides {image} are over {MAX_DECODED_BYTES} bytes"
        )
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
