"""No file can crash, hang or fill a worker: each is read, or refused with its reason, in bounds."""

import gzip
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

ROOT = Path(__file__).parents[2]
READER = Path(__file__).with_name("hostile_reader.py")
MOST_SECONDS = 10.0
MOST_MB = 700
"""With what the imports take, 200 MB; the cap on unpacked bytes is 256 MB."""

PIXELS = np.arange(35, dtype=np.float32).reshape(5, 7)
COUNTS = np.random.default_rng(1).integers(0, 9999, (64, 64), np.int16)


def card(keyword: str, value: object) -> str:
    return f"{keyword:<8}= {value!s:>20}".ljust(80)


def header(*cards: str, end: bool = True) -> bytes:
    text = "".join([*cards, "END".ljust(80)] if end else cards)
    return text.ljust(-(-len(text) // 2880) * 2880).encode("latin-1")


def image(
    bitpix: int = -32, axes: tuple[int, ...] = (7, 5), *more: str, data: bytes | None = None
) -> bytes:
    sides = [card(f"NAXIS{i}", n) for i, n in enumerate(axes, 1)]
    cards = [card("SIMPLE", "T"), card("BITPIX", bitpix), card("NAXIS", len(axes)), *sides]
    pixels = PIXELS.astype(">f4").tobytes() if data is None else data
    return header(*cards, *more) + pixels.ljust(-(-len(pixels) // 2880) * 2880, b"\0")


def integers(values: np.ndarray, *more: str) -> bytes:
    bits = values.dtype.itemsize * 8
    return image(bits, values.shape[::-1], *more, data=values.tobytes())


def floats(value: float) -> bytes:
    return image(data=np.full((5, 7), value, ">f4").tobytes())


def written(*hdus: Any, **options: Any) -> bytes:
    path = Path(os.environ["HOSTILE_SCRATCH"])
    fits.HDUList(list(hdus)).writeto(path, overwrite=True, **options)
    return path.read_bytes()


def compressed(algorithm: str = "RICE_1", kind: str = "i2") -> bytes:
    tiles = fits.CompImageHDU(COUNTS.astype(kind), compression_type=algorithm)
    return written(fits.PrimaryHDU(), tiles)


def replaced(content: bytes, keyword: str, value: object) -> bytes:
    at = content.index(f"{keyword:<8}=".encode())
    return content[:at] + card(keyword, value).encode() + content[at + 80 :]


def of_tiles(algorithm: str, keyword: str, value: object) -> bytes:
    """Return the file of a compressed image with another card, in place of EXTNAME if it had none."""
    content = compressed(algorithm)
    start = content.index(b"XTENSION")
    has_one = f"{keyword:<8}=".encode() in content[start:]
    at = content.index(f"{keyword if has_one else 'EXTNAME':<8}=".encode(), start)
    return content[:at] + card(keyword, value).encode() + content[at + 80 :]


def tiles(values: np.ndarray) -> bytes:
    packed = fits.CompImageHDU(values, compression_type="GZIP_1", quantize_level=0)
    return written(fits.PrimaryHDU(), packed)


def number_in(content: bytes, keyword: str, start: int = 0) -> int:
    at = content.index(f"{keyword:<8}=".encode(), start)
    return int(content[at + 10 : at + 30])


def with_pointer(content: bytes, length: int, offset: int, tile: bytes = b"") -> bytes:
    """Return the file of a compressed image whose first tile is said to lie elsewhere."""
    at = content.index(b"XTENSION")
    table = at + 2880 * (content[at:].index(b"END" + b" " * 77) // 2880 + 1)
    pointer = np.array([length, offset], ">i4").tobytes()
    changed = content[:table] + pointer + content[table + 8 :]
    if tile:
        rows, row_bytes = (number_in(content, key, at) for key in ("NAXIS2", "NAXIS1"))
        heap = table + rows * row_bytes + offset
        changed = changed[:heap] + tile + changed[heap + len(tile) :]
    return changed


def summed(keyword: str) -> bytes:
    """Return a file whose sum of this name is wrong, and no other."""
    content = written(fits.PrimaryHDU(PIXELS), checksum="datasum" if keyword == "DATASUM" else True)
    if keyword == "DATASUM":
        return replaced(content, "DATASUM", "'1234567'")
    return content.replace(b"conforms", b"Conforms")


def gzip_bomb(megabytes: int) -> bytes:
    zeros, squeeze = bytes(1 << 20), zlib.compressobj(9, wbits=-15)
    # what ends with a full flush is the same bytes wherever it stands
    start, block = (
        squeeze.compress(one) + squeeze.flush(zlib.Z_FULL_FLUSH) for one in (image(), zeros)
    )
    checksum = zlib.crc32(image())
    for _ in range(megabytes):
        checksum = zlib.crc32(zeros, checksum)
    size = (len(image()) + megabytes * len(zeros)) % 2**32
    head, tail = b"\x1f\x8b\x08".ljust(10, b"\0"), struct.pack("<II", checksum, size)
    return head + start + block * megabytes + squeeze.flush() + tail


def tile_bomb() -> bytes:
    content = compressed("GZIP_1")
    bomb = gzip.compress(bytes(1 << 26), 9)
    pcount = number_in(content, "PCOUNT")
    grown = replaced(content, "PCOUNT", pcount + len(bomb))
    table = len(content) - 2880 * (-(-(64 * 8 + pcount) // 2880))
    data = grown[table : table + 64 * 8 + pcount] + bomb
    data = np.array([len(bomb), pcount], ">i4").tobytes() + data[8:]
    return grown[:table] + data.ljust(-(-len(data) // 2880) * 2880, b"\0")


def many_hdus(number: int) -> bytes:
    extension = header(
        card("XTENSION", "'IMAGE   '"),
        *(card("BITPIX", 8), card("NAXIS", 2), card("NAXIS1", 1), card("NAXIS2", 1)),
        *(card("PCOUNT", 0), card("GCOUNT", 1)),
    )
    return image() + (extension + bytes(2880)) * number


def continued(cards: int) -> bytes:
    first = "LONGTEXT= '" + "x" * 66 + "&'"
    more = ["CONTINUE  '" + "y" * 66 + "&'"] * cards
    return image(-32, (7, 5), first.ljust(80), *(line.ljust(80) for line in more))


def wrong_types() -> bytes:
    cards = [
        *(card("EXPTIME", "'long'"), card("GAIN", "T"), card("MJD-OBS", "'yesterday'")),
        *(card("SATURATE", "(1.0, 2.0)"), card("FILTER", 7), card("BUNIT", "T")),
        *(card("CTYPE1", 3), card("CRPIX1", "'x'"), card("DATE-OBS", 12), card("SEEING", "-1E999")),
    ]
    return image(-32, (7, 5), *cards)


def sky(**changed: object) -> bytes:
    cards = {
        "CTYPE1": "'RA---TAN-SIP'",
        "CTYPE2": "'DEC--TAN-SIP'",
        "CRVAL1": 10.0,
        "CRVAL2": 20.0,
        "CRPIX1": 1.0,
        "CRPIX2": 1.0,
        "CD1_1": -1e-4,
        "CD2_2": 1e-4,
    } | changed
    return image(-32, (7, 5), *(card(keyword, value) for keyword, value in cards.items()))


def broken_table() -> bytes:
    table = header(
        card("XTENSION", "'BINTABLE'"),
        *(card("BITPIX", 8), card("NAXIS", 2), card("NAXIS1", 8), card("NAXIS2", 1)),
        *(card("PCOUNT", 0), card("GCOUNT", 1), card("TFIELDS", 999)),
        *(card("TFORM1", "'99999999999E'"), card("TFORM2", "'??'")),
    )
    return image() + table + bytes(2880)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "no bytes": (lambda: b"", "empty"),
    "web page": (lambda: b"<html><body>503</body></html>", "html_page"),
    "random bytes": (lambda: np.random.default_rng(2).bytes(100_000), "not_fits"),
    "zip file": (lambda: b"PK\x03\x04" + bytes(5000), "not_fits"),
    "no END": (lambda: header(card("SIMPLE", "T"), card("BITPIX", 8), end=False), "no_end"),
    "header without end, 100 MB": (
        lambda: header(card("SIMPLE", "T"), end=False) + b" " * 100_000_000,
        "huge_header",
    ),
    "header of 20,000 cards": (
        lambda: image(-32, (7, 5), *(card(f"K{i}", i) for i in range(20_000))),
        "huge_header",
    ),
    "8,000 CONTINUE cards": (lambda: continued(8_000), "read"),
    "8,000 cards": (lambda: image(-32, (7, 5), *(card(f"K{i}", i) for i in range(8_000))), "read"),
    "149 GiB declared": (lambda: image(-32, (200_000, 200_000)), "too_many_pixels"),
    "596 GiB declared": (lambda: image(-64, (200_000, 200_000, 2)), "too_many_pixels"),
    "a side of 10^9": (lambda: image(8, (10**9, 10**9)), "too_many_pixels"),
    "1.6 GB declared": (lambda: image(-32, (20_000, 20_000)), "truncated"),
    "groups of 10^12": (lambda: image(-32, (7, 5), card("GCOUNT", 10**12)), "truncated"),
    "PCOUNT of 10^18": (lambda: image(-32, (7, 5), card("PCOUNT", 10**18)), "truncated"),
    "PCOUNT below 0": (lambda: image(-32, (7, 5), card("PCOUNT", -140)), "bad_header"),
    "one byte short": (lambda: image()[: 2880 + 139], "truncated"),
    "half a header": (lambda: image()[:1000], "no_end"),
    "BITPIX 0": (lambda: image(0), "bad_bitpix"),
    "BITPIX of 10^9": (lambda: image(10**9), "bad_bitpix"),
    "BITPIX in words": (lambda: replaced(image(), "BITPIX", "'float'"), "bad_header"),
    "zero-size array": (lambda: image(-32, (0, 5)), "bad_axes"),
    "negative side": (lambda: image(-32, (7, -5)), "bad_axes"),
    "one axis": (lambda: image(-32, (35,)), "bad_axes"),
    "five axes": (lambda: image(-32, (7, 5, 1, 1, 1)), "bad_axes"),
    "999 axes": (lambda: replaced(image(), "NAXIS", 999), "bad_axes"),
    "random groups": (lambda: image(-32, (0, 7, 5), card("GROUPS", "T")), "bad_axes"),
    "two sizes": (lambda: image(-32, (7, 5), card("NAXIS1", 10**9)), "bad_header"),
    "BSCALE 0": (lambda: integers(np.ones((5, 7), ">i2"), card("BSCALE", 0)), "bad_scaling"),
    "BSCALE NaN": (lambda: integers(np.ones((5, 7), ">i2"), card("BSCALE", "NaN")), "bad_scaling"),
    "BZERO infinite": (
        lambda: integers(np.ones((5, 7), ">i2"), card("BZERO", "1E999")),
        "bad_scaling",
    ),
    "BLANK everywhere": (
        lambda: integers(np.full((5, 7), -1, ">i2"), card("BLANK", -1)),
        "no_finite_pixels",
    ),
    "NaN everywhere": (lambda: floats(np.nan), "no_finite_pixels"),
    "infinity everywhere": (lambda: floats(np.inf), "no_finite_pixels"),
    "sentinels everywhere": (lambda: floats(-3.4028235e38), "no_finite_pixels"),
    "NaN everywhere in tiles": (lambda: tiles(np.full((64, 64), np.nan)), "no_finite_pixels"),
    "integers beyond 2^53 in tiles": (
        lambda: tiles(np.full((64, 64), 2**53 + 1)),
        "inexact_integers",
    ),
    "wrong DATASUM": (lambda: summed("DATASUM"), "bad_checksum"),
    "wrong CHECKSUM": (lambda: summed("CHECKSUM"), "bad_checksum"),
    "integers beyond 2^53": (
        lambda: integers(np.full((5, 7), 2**53 + 1, ">i8")),
        "inexact_integers",
    ),
    "least integer": (lambda: integers(np.full((5, 7), -(2**63), ">i8")), "inexact_integers"),
    "3,000 HDUs": (lambda: many_hdus(3_000), "too_many_hdus"),
    "gzip bomb": (lambda: gzip_bomb(2_000), "gzip_bomb"),
    "gzip in 200,000 empty members": (
        lambda: gzip.compress(image()) + gzip.compress(b"") * 200_000,
        "bad_gzip",
    ),
    "cut gzip": (lambda: gzip.compress(image())[:-20], "bad_gzip"),
    "damaged gzip": (lambda: gzip.compress(image())[:30] + b"\xff" * 40, "bad_gzip"),
    "NUL in a card": (lambda: image(-32, (7, 5), "EXPTIME = 1\0\0".ljust(80)), "bad_header"),
    "escape in a card": (lambda: image(-32, (7, 5), "COMMENT \x1b[2J".ljust(80)), "bad_header"),
    "keywords of wrong types": (wrong_types, "read"),
    "SIP of order 20,000": (lambda: sky(A_ORDER=20_000, B_ORDER=20_000), "read"),
    "20,000 axes of the sky": (lambda: sky(WCSAXES=20_000), "read"),
    "damaged table beside it": (broken_table, "read"),
    "tile outside the heap": (lambda: with_pointer(compressed(), 100, 10**9), "bad_tiles"),
    "tile of negative length": (lambda: with_pointer(compressed(), -5, 0), "bad_tiles"),
    "tiles that do not add up": (lambda: replaced(compressed(), "ZNAXIS2", 65), "bad_tiles"),
    "1.4 GB in tiles": (
        lambda: replaced(replaced(compressed(kind="i4"), "ZNAXIS1", 19_000), "ZNAXIS2", 19_000),
        "too_many_pixels",
    ),
    "tile of 10^9 pixels": (lambda: replaced(compressed(), "ZTILE1", 10**9), "bad_tiles"),
    "tile of no pixels": (lambda: replaced(compressed(), "ZTILE1", 0), "bad_tiles"),
    "heap before its table": (lambda: of_tiles("GZIP_1", "THEAP", -(10**6)), "bad_tiles"),
    "tiles of no data": (
        lambda: of_tiles("RICE_1", "GCOUNT", 0)[: 2 * 2880],
        "bad_tiles",
    ),
    "no extension of FITS": (lambda: of_tiles("RICE_1", "XTENSION", "'X'"), "unreadable"),
    "unknown compression": (lambda: replaced(compressed(), "ZCMPTYPE", "'MP3'"), "bad_tiles"),
    "RICE blocks of 0": (lambda: replaced(compressed(), "ZVAL1", 0), "bad_tiles"),
    "ZBITPIX 7": (lambda: replaced(compressed(), "ZBITPIX", 7), "bad_bitpix"),
    "gzip bomb in a tile": (tile_bomb, "bad_tiles"),
    "H-compressed tile of 10^9 pixels": (
        lambda: with_pointer(
            compressed("HCOMPRESS_1"),
            20,
            0,
            b"\xdd\x99" + np.array([30_000, 30_000], ">i4").tobytes(),
        ),
        "bad_tiles",
    ),
    "RICE of noise": (lambda: with_pointer(compressed(), 60, 0, b"\xff" * 60), "unreadable"),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What one process with bounded memory made of every file."""
    folder = tmp_path_factory.mktemp("hostile")
    os.environ["HOSTILE_SCRATCH"] = str(tmp_path_factory.mktemp("scratch") / "made.fits")
    for number, (build, _) in enumerate(HOSTILE.values()):
        (folder / f"{number:03}.fits").write_bytes(build())
    done = subprocess.run(
        [sys.executable, str(READER), str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ASTRID_TRAINING_HOME": str(folder.parent)},
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(zip(HOSTILE, lines, strict=True))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_read_or_refused_within_its_bounds(
    outcomes: dict[str, dict[str, Any]], name: str
) -> None:
    found = outcomes[name]

    assert found["outcome"] == HOSTILE[name][1]
    assert found["seconds"] < MOST_SECONDS
    assert found["peak_mb"] < MOST_MB
