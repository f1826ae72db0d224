"""Small sound FITS files of every kind that is read, and what is done to them."""

import gzip
import io
from collections.abc import Callable
from functools import cache

import numpy as np
from astropy.io import fits
from hypothesis import strategies as st

__all__ = ["changes", "damaged_files", "sound_files"]

ALGORITHMS = ("RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1", "NOCOMPRESS")
PIXELS = np.arange(35, dtype=np.float32).reshape(5, 7)
COUNTS = np.random.default_rng(1).integers(0, 9999, (40, 48), np.int16)

Change = Callable[[bytes], bytes]


@cache
def sound_files() -> dict[str, bytes]:
    """Return sound files by what they are."""
    table = fits.BinTableHDU.from_columns(
        [fits.Column("a", "PE()", array=np.array([[1.0], [2.0, 3.0]], dtype=object))]
    )
    sky = fits.Header(
        {
            "CTYPE1": "RA---TAN-SIP",
            "CTYPE2": "DEC--TAN-SIP",
            "CRVAL1": 10.0,
            "CRVAL2": 20.0,
            "CRPIX1": 3.0,
            "CRPIX2": 2.0,
            "CD1_1": -1e-4,
            "CD2_2": 1e-4,
            "A_ORDER": 2,
            "B_ORDER": 2,
            "A_2_0": 1e-6,
            "MJD-OBS": 60000.5,
            "EXPTIME": 30.0,
            "FILTER": "r",
        }
    )
    plain = fits.PrimaryHDU(PIXELS, sky)
    scaled = fits.PrimaryHDU(COUNTS.astype(np.uint16))
    planes = [fits.ImageHDU(PIXELS, name=name) for name in ("SCI", "ERR", "DQ", "WHT")]
    planes[2] = fits.ImageHDU(np.zeros((5, 7), np.int16), name="DQ")
    made = {
        "plain": _written(plain),
        "gzipped": gzip.compress(_written(plain), mtime=0),
        "scaled": _written(scaled),
        "double": _written(fits.PrimaryHDU(PIXELS.astype(np.float64))),
        "whole": _written(fits.PrimaryHDU(COUNTS.astype(np.int64))),
        "planes": _written(fits.PrimaryHDU(), *planes),
        "table": _written(plain, table),
        "summed": _written(plain, checksum=True),
    }
    for algorithm in ALGORITHMS:
        tiles = fits.CompImageHDU(COUNTS, compression_type=algorithm)
        made[algorithm] = _written(fits.PrimaryHDU(), tiles)
    floats = fits.CompImageHDU(COUNTS.astype(np.float32), compression_type="RICE_1")
    made["quantized"] = _written(fits.PrimaryHDU(), floats)
    return made


def _written(*hdus: object, checksum: bool = False) -> bytes:
    buffer = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(buffer, checksum=checksum)
    return buffer.getvalue()


def damaged_files() -> st.SearchStrategy[bytes]:
    """Return files of up to three things wrong."""
    return st.builds(
        _damaged, st.sampled_from(sorted(sound_files())), st.lists(changes(), max_size=3)
    )


def _damaged(name: str, changes: list[Change]) -> bytes:
    content = sound_files()[name]
    packed = name == "gzipped" and len(changes) % 2 == 1  # else what is packed is damaged
    if name == "gzipped" and not packed:
        content = gzip.decompress(content)
    for change in changes:
        content = change(content)
    return content if name != "gzipped" or packed else gzip.compress(content, 1, mtime=0)


def changes() -> st.SearchStrategy[Change]:
    """Return what may be done to a file."""
    place = st.integers(0, 1 << 20).map(lambda number: number / (1 << 20))
    return st.one_of(
        st.builds(_card, place, _values()),
        st.builds(_card, place, _values()),
        st.builds(_named_card, st.sampled_from(KEYWORDS), _values()),
        st.builds(_flip, place, st.integers(0, 7)),
        st.builds(_word, place, st.sampled_from(WORDS)),
        st.builds(_cut, place),
        st.builds(_twice, place, place),
        st.builds(_insert, place, st.binary(min_size=1, max_size=80)),
        st.builds(_without, place),
    )


KEYWORDS = (
    *("SIMPLE", "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "PCOUNT", "GCOUNT"),
    *("BSCALE", "BZERO", "BLANK", "TFIELDS", "TFORM1", "TTYPE1", "THEAP", "ZIMAGE", "ZBITPIX"),
    *("ZNAXIS", "ZNAXIS1", "ZNAXIS2", "ZTILE1", "ZTILE2", "ZCMPTYPE", "ZNAME1", "ZVAL1", "ZBLANK"),
    *("ZQUANTIZ", "ZDITHER0", "ZSCALE", "ZZERO", "EXTNAME", "EXTVER", "CHECKSUM", "DATASUM"),
    *(
        "CTYPE1",
        "CRPIX1",
        "CD1_1",
        "A_ORDER",
        "WCSAXES",
        "MJD-OBS",
        "DATE-OBS",
        "EXPTIME",
        "GROUPS",
    ),
    *("TIMESYS", "EQUINOX", "RADESYS", "FILTER", "GAIN", "SATURATE", "BUNIT", "CONTINUE", "END"),
)
WORDS = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\0", b"\0\0\0\x01")
ODD = (
    *("0", "-1", "1", "2", "8", "-32", "64", "999", "2147483648", "-9223372036854775808", "1E999"),
    *("T", "F", "NaN", "''", "'&'", "(1, 2)", "1_000", "0x10", "9" * 60, "1D5", "'PE(4)'", "'1QB'"),
    *("'99999999999E'", "'RICE_1'", "'GZIP_2'", "'HCOMPRESS_1'", "'PLIO_1'", "'NOCOMPRESS'", ""),
    *("'IMAGE'", "'BINTABLE'", "'TAN-TAB'", "'RA---TPV'", "'2026-99-99T25:00:00'", "'\\0'"),
)


def _values() -> st.SearchStrategy[str]:
    text = st.text(st.characters(codec="ascii"), max_size=60)
    return st.one_of(
        st.sampled_from(ODD), st.integers().map(str), st.floats().map(str), text, text.map(repr)
    )


def _line(keyword: str, value: str) -> bytes:
    return f"{keyword:<8}= {value:>20}".ljust(80)[:80].encode("ascii", "replace")


def _cards(content: bytes) -> list[int]:
    """Return where the cards of the headers are, as far as they look like some."""
    return [at for at in range(0, len(content) - 79, 80) if content[at + 8 : at + 10] == b"= "]


def _card(place: float, value: str) -> Change:
    def change(content: bytes) -> bytes:
        cards = _cards(content)
        if not cards:
            return content
        at = cards[min(int(place * len(cards)), len(cards) - 1)]
        keyword = content[at : at + 8].decode("latin-1").rstrip()
        return content[:at] + _line(keyword, value) + content[at + 80 :]

    return change


def _named_card(keyword: str, value: str) -> Change:
    """Replace the last card of this keyword, or another that is there in its place."""

    def change(content: bytes) -> bytes:
        cards = _cards(content)
        same = [at for at in cards if content[at : at + 8].rstrip() == keyword.encode()]
        at = (same or cards[-1:] or [0])[-1]
        return content[:at] + _line(keyword, value) + content[at + 80 :]

    return change


def _flip(place: float, bit: int) -> Change:
    def change(content: bytes) -> bytes:
        at = int(place * (len(content) - 1))
        flipped = bytes([content[at] ^ (1 << bit)]) if content else b""
        return content[:at] + flipped + content[at + 1 :]

    return change


def _word(place: float, word: bytes) -> Change:
    """Overwrite four bytes, as descriptors of tiles are made of."""

    def change(content: bytes) -> bytes:
        at = int(place * len(content)) // 4 * 4
        return content[:at] + word + content[at + 4 :]

    return change


def _cut(place: float) -> Change:
    return lambda content: content[: int(place * len(content))]


def _twice(start: float, length: float) -> Change:
    """Repeat some blocks of 2880 bytes."""

    def change(content: bytes) -> bytes:
        first = int(start * len(content)) // 2880 * 2880
        last = first + max(int(length * 4), 1) * 2880
        return content[:last] + content[first:last] + content[last:]

    return change


def _insert(place: float, more: bytes) -> Change:
    def change(content: bytes) -> bytes:
        at = int(place * len(content))
        return content[:at] + more + content[at:]

    return change


def _without(place: float) -> Change:
    """Leave out a block of 2880 bytes."""

    def change(content: bytes) -> bytes:
        at = int(place * len(content)) // 2880 * 2880
        return content[:at] + content[at + 2880 :]

    return change
