"""Makes the golden vectors: tiny FITS files, and the stamps that plain formulas make of them.

`python tests/golden/make_vectors.py` writes them anew. Nothing here uses the package but the folder
that the vectors lie in: images are made and read by astropy, and each step of the preprocessing is
written down a second time, one pixel and one cell after the other.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

FOLDER = Path(__file__).parents[2] / "astrid_training" / "golden_vectors"
ROLES = ("science", "reference", "difference")
MISSING, SATURATED, PADDED, OTHER_MISSING = 1, 2, 4, 16
MAD_TO_SIGMA, QUARTILES_TO_SIGMA = 1.4826, 0.7413

SMALL: dict[str, Any] = {"stamp_size": 16, "margin": 4, "cell_px": 16}
SPECS: dict[str, dict[str, Any]] = {
    "asinh": SMALL,
    "l2": {**SMALL, "scale": "l2"},
    "percentile": {**SMALL, "scale": "percentile"},
    "zscale": {**SMALL, "scale": "zscale"},
    "none": {**SMALL, "scale": "none", "background": "none", "clip": None},
    "median": {**SMALL, "background": "median"},
    "default": {},
}
DEFAULTS: dict[str, Any] = {
    "stamp_size": 64,
    "margin": 4,
    "cell_px": 64,
    "scale": "asinh",
    "background": "mesh",
    "clip": 10.0,
    "softening": 3.0,
}


def files(name: str, **others: str) -> dict[str, str]:
    """Name the file of each role: `<name>_<role>`, and others that are of other cases."""
    return {role: others.get(role, f"{name}_{role}") for role in ROLES}


PLAIN = files("plain")
CASES: dict[str, dict[str, Any]] = {
    "plain": {
        "files": PLAIN,
        "specs": ["asinh", "l2", "percentile", "zscale", "none", "median"],
    },
    "nan_block": {
        "files": files("nan_block", reference="plain_reference"),
        "specs": ["asinh", "l2", "percentile", "zscale", "none"],
    },
    "edge": {"files": PLAIN, "x": 5.3, "y": 21.8, "specs": ["asinh", "l2", "none"]},
    "saturated_star": {
        "files": {**PLAIN, "science": "saturated_star_science"},
        "specs": ["asinh", "percentile", "zscale"],
    },
    "negative_source": {
        "files": {**PLAIN, "difference": "negative_source_difference"},
        "specs": ["asinh", "l2", "none"],
    },
    "constant_reference": {
        "files": {**PLAIN, "reference": "constant"},
        "specs": ["asinh", "l2"],
    },
    "constant_difference": {
        "files": {**PLAIN, "difference": "constant"},
        "specs": ["asinh"],
        "refused": "constant",
    },
    "uint16": {"files": files("uint16"), "specs": ["asinh", "none"]},
    "scaled_int16": {"files": files("scaled_int16"), "specs": ["asinh", "none"]},
    "big_endian_doubles": {"files": files("big_endian_doubles"), "specs": ["asinh", "none"]},
    "multi_hdu": {
        "files": dict.fromkeys(ROLES, "multi_hdu"),
        "kind": "stamp",
        "x": 12,
        "y": 12,
        "specs": ["asinh", "l2"],
    },
    "dq_plane": {"files": {"science": "dq_plane"}, "survey": "hst", "specs": ["asinh"]},
    "other_grid": {"files": files("other_grid"), "specs": ["asinh"]},
    "default": {"files": files("default"), "x": 52.2, "y": 45.6, "specs": ["default"]},
}

Floats = NDArray[np.float64]


# ------------------------------------------------------------------------------- the files


def sky(seed: int, sigma: float, level: float = 0.0, shape: tuple[int, int] = (40, 48)) -> Floats:
    """A noisy sky with a slope."""
    y, x = np.indices(shape)
    noise = np.random.default_rng(seed).normal(0, sigma, shape)
    return np.asarray(level + noise + (0.05 * x + 0.02 * y if level else 0), np.float64)


def star(flux: float, x: float, y: float, shape: tuple[int, int] = (40, 48)) -> Floats:
    rows, columns = np.indices(shape)
    return np.asarray(flux * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 3), np.float64)


def triple(**changed: Floats) -> dict[str, Floats]:
    images = {
        "science": sky(1, 6, 210) + star(900, 23.7, 20.2),
        "reference": sky(2, 4, 190) + star(300, 23.7, 20.2),
        "difference": sky(3, 7) + star(600, 23.7, 20.2),
    }
    return {**images, **changed}


Hdu = tuple[str | None, Any, Mapping[str, Any]]


def write(path: Path, *hdus: Hdu) -> None:
    first, *rest = [
        (fits.PrimaryHDU if not number else fits.ImageHDU)(pixels, fits.Header(dict(cards)))
        for number, (_, pixels, cards) in enumerate(hdus)
    ]
    for hdu, (name, _, _) in zip((first, *rest), hdus, strict=True):
        if name:
            hdu.name = name
    fits.HDUList([first, *rest]).writeto(path, overwrite=True)


def write_triple(name: str, images: Mapping[str, Any], **cards: Mapping[str, Any]) -> None:
    for role, pixels in images.items():
        write(FOLDER / f"{name}_{role}.fits", (None, pixels, cards.get(role, {})))


def single(images: Mapping[str, Floats]) -> dict[str, Any]:
    return {role: pixels.astype(np.float32) for role, pixels in images.items()}


def grid(dx: int, dy: int) -> dict[str, Any]:
    """Cards of a tangential WCS; pixel (x, y) of (0, 0) lies at (x + dx, y + dy) of this one."""
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": 150.0,
        "CRVAL2": 20.0,
        "CRPIX1": 24.5 + dx,
        "CRPIX2": 20.5 + dy,
        "CD1_1": -1.01 / 3600,
        "CD1_2": 0.0,
        "CD2_1": 0.0,
        "CD2_2": 1.01 / 3600,
    }


def write_files() -> None:
    FOLDER.mkdir(exist_ok=True)
    write_triple("plain", single(triple()))

    holes = single(triple())
    holes["science"][14:19, 20:23] = np.nan
    holes["difference"][22:26, 24:29] = np.nan
    holes["difference"][15, 15], holes["difference"][15, 16] = -3.4028235e38, np.inf
    del holes["reference"]
    write_triple("nan_block", holes)

    full = np.minimum(triple()["science"] + star(6e4, 26, 22), 4e4)
    write_triple("saturated_star", single({"science": full}), science={"SATURATE": 40000.0})

    faded = single({"difference": -sky(3, 7) + star(600, 23.7, 20.2)})
    write_triple("negative_source", faded, difference={"DIFFSIGN": -1})

    write(FOLDER / "constant.fits", (None, np.full((40, 48), 17, np.float32), {}))

    counts = {role: np.clip(pixels, 0, 65535) for role, pixels in triple().items()}
    counts["science"][20:22, 23:25] = 65535
    write_triple("uint16", {role: image.astype(np.uint16) for role, image in counts.items()})
    write_scaled()
    write_triple("big_endian_doubles", triple())
    write_others()


def write_scaled() -> None:
    """Write integers that are read as 0.25 times themselves and 100 more, one value of them BLANK."""
    for role, pixels in triple().items():
        stored = np.round((pixels - 100) / 0.25).astype(np.int16)
        stored[17, 21:24] = -32768
        hdu = fits.PrimaryHDU(stored)
        hdu.header.update(BSCALE=0.25, BZERO=100.0, BLANK=-32768)
        path = FOLDER / f"scaled_int16_{role}.fits"
        hdu.writeto(path, overwrite=True)


def write_others() -> None:
    stamp = single({role: image[8:33, 11:36] for role, image in triple().items()})
    names: list[Hdu] = [(role.upper(), stamp[role], {}) for role in ROLES]
    write(FOLDER / "multi_hdu.fits", (None, None, {}), *names)

    science = single(triple())["science"]
    bits = np.zeros(science.shape, np.int16)
    bits[18:22, 20:24], bits[10:14, 20:24] = 4, 64  # bad, and a blemish that does no harm
    hdus: list[Hdu] = [("SCI", science, {}), ("DQ", bits, {})]
    write(FOLDER / "dq_plane.fits", (None, None, {}), *hdus)

    wcs = {"science": grid(0, 0), "difference": grid(0, 0), "reference": grid(3, -5)}
    moved = triple(reference=sky(2, 4, 190) + star(300, 26.7, 15.2))
    write_triple("other_grid", single(moved), **wcs)

    shape = (92, 104)
    big = {
        "science": np.round(sky(4, 9, 1200, shape) + star(5000, 52.2, 45.6, shape)),
        "reference": np.round(sky(5, 6, 1100, shape) + star(2000, 52.2, 45.6, shape)),
    }
    difference = sky(6, 11, 0, shape) + star(3000, 52.2, 45.6, shape)
    counts = {role: pixels.astype(np.uint16) for role, pixels in big.items()}
    write_triple("default", {**counts, "difference": difference.astype(np.float32)})


# ------------------------------------------------------------------------------- the formulas


def images_of(name: str) -> dict[str, tuple[NDArray[np.float32], dict[str, Any]]]:
    """Return pixels and keywords of each role, NaN = missing, as astropy and the case have them."""
    found = {}
    for role, file in CASES[name]["files"].items():
        with fits.open(FOLDER / f"{file}.fits", memmap=False) as hdus:
            number = {"multi_hdu": 1 + ROLES.index(role), "dq_plane": 1}.get(name, 0)
            said = dict(hdus[number].header)
            pixels = hdus[number].data.astype(np.float64)
            if name == "dq_plane":
                pixels[hdus[2].data & (1 | 2 | 4 | 512) != 0] = np.nan
        with np.errstate(over="ignore", invalid="ignore"):
            single = pixels.astype(np.float32) * said.get("DIFFSIGN", 1)
            single[~(np.abs(single) <= 1e30)] = np.nan
        found[role] = single, said
    return found


def clipped(values: NDArray[np.float32]) -> float:
    """Return the median of what is left after five rounds of clipping at three sigma."""
    ordered = sorted(float(value) for value in values)
    kept = ordered
    for _ in range(5):
        last = len(kept) - 1
        sigma = QUARTILES_TO_SIGMA * (kept[3 * last // 4] - kept[last // 4])
        middle = float(np.median(kept))
        low, high = np.float32(middle - 3 * sigma), np.float32(middle + 3 * sigma)
        again = [value for value in ordered if low <= value <= high]
        if not again or again == kept:
            break
        kept = again
    return float(np.median(kept))


def mesh(image: NDArray[np.float32], cell: int) -> Floats:
    """Return the level of the sky at each pixel of a frame."""
    rows = [slice(start, start + cell) for start in range(0, image.shape[0], cell)]
    columns = [slice(start, start + cell) for start in range(0, image.shape[1], cell)]
    medians = np.full((len(rows) + 2, len(columns) + 2), np.nan)
    for i, of_rows in enumerate(rows):
        for j, of_columns in enumerate(columns):
            valid = image[of_rows, of_columns]
            valid = valid[np.isfinite(valid)]
            if len(valid) >= 0.25 * cell * cell:
                medians[i + 1, j + 1] = clipped(valid)
    smooth = np.array(
        [
            [np.nanmedian(medians[i : i + 3, j : j + 3]) for j in range(len(columns))]
            for i in range(len(rows))
        ]
    )
    centres = [
        [(one.start + min(one.stop, size) - 1) / 2 for one in cells]
        for cells, size in ((rows, image.shape[0]), (columns, image.shape[1]))
    ]
    y, x = (np.arange(size, dtype=np.float64) for size in image.shape)
    along_y = np.array([np.interp(y, centres[0], column) for column in smooth.T]).T
    return np.array([np.interp(x, centres[1], row) for row in along_y])


def window(image: Floats, x: int, y: int, size: int) -> Floats:
    """Return the square whose pixel size // 2 is (x, y), NaN beyond the image."""
    out = np.full((size, size), np.nan)
    for row in range(size):
        for column in range(size):
            at = y - size // 2 + row, x - size // 2 + column
            if 0 <= at[0] < image.shape[0] and 0 <= at[1] < image.shape[1]:
                out[row, column] = image[at]
    return out


def zscale_limits(pixels: Floats) -> tuple[float, float]:
    """Return IRAF's display limits: a line through the sorted pixels, steeper by four."""
    values = np.sort(pixels[:: max(1, len(pixels) // 1000)][:1000])
    at = np.arange(len(values))
    good = np.ones(len(values), bool)
    grow = max(1, int(len(values) * 0.01))
    for _ in range(5):
        slope, start = np.polyfit(at[good], values[good], 1)
        flat = values - (slope * at + start)
        bad = np.abs(flat) > 2.5 * flat[good].std()
        grown = np.convolve(bad, np.ones(grow), "same") > 0
        if (~grown).sum() >= good.sum() or (~grown).sum() < max(5, int(len(values) * 0.5)):
            break
        good = ~grown
    middle, median = (len(values) - 1) // 2, float(np.median(values))
    slope = slope / 0.25
    low = max(float(values[0]), median - (middle - 1) * slope)
    return low, min(float(values[-1]), median + (len(values) - middle) * slope)


def scaled(values: Floats, role: str, spec: Mapping[str, Any]) -> Floats | None:
    """Return a stamp in the network's units, None where it has no noise."""
    inner = slice(spec["margin"], spec["margin"] + spec["stamp_size"])
    centre = values[inner, inner].ravel()
    centre = centre[np.isfinite(centre)]
    middle = float(np.median(centre)) if len(centre) else 0.0
    noise = MAD_TO_SIGMA * float(np.median(np.abs(centre - middle))) if len(centre) > 15 else 0.0
    if not noise > 0:
        return None
    if spec["scale"] == "asinh":
        ratio = (values - (0 if role == "difference" else middle)) / (spec["softening"] * noise)
        out = np.sign(ratio) * np.log(np.abs(ratio) + np.sqrt(ratio**2 + 1))
    elif spec["scale"] == "l2":
        out = values / np.sqrt(sum(float(value) ** 2 for value in centre))
    elif spec["scale"] == "none":
        out = values
    else:
        ordered = np.sort(centre)
        places = np.array([0.01, 0.99]) * (len(ordered) - 1)
        low, high = np.interp(places, np.arange(len(ordered)), ordered)
        if spec["scale"] == "zscale":
            low, high = zscale_limits(centre)
        out = np.minimum(np.maximum((values - low) / (high - low), 0), 1)
    clip = np.inf if spec["clip"] is None else spec["clip"]
    return np.asarray(np.minimum(np.maximum(out, -clip), clip), np.float64)


def stamp(name: str, spec: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return pixels (role, y, x) and flags (y, x) of a case."""
    spec = {**DEFAULTS, **spec}
    case, images = CASES[name], images_of(name)
    size = spec["stamp_size"] + 2 * spec["margin"]
    x, y = (int(np.floor(case.get(axis, at) + 0.5)) for axis, at in (("x", 23.7), ("y", 20.2)))
    primary = "difference" if "difference" in images else "science"
    pixels = np.zeros((3, size, size), np.float32)
    raw: dict[str, Floats | None] = dict.fromkeys(ROLES)
    for channel, role in enumerate(ROLES):
        if role not in images:
            continue
        image = images[role][0]
        dx, dy = (3, -5) if (name, role) == ("other_grid", "reference") else (0, 0)
        values = raw[role] = window(image.astype(np.float64), x + dx, y + dy, size)
        framed = case.get("kind") != "stamp"
        if role != "difference" and spec["background"] == "mesh" and framed:
            values = values - window(mesh(image, spec["cell_px"]), x + dx, y + dy, size)
        elif role != "difference" and spec["background"] != "none":
            inner = slice(spec["margin"], spec["margin"] + spec["stamp_size"])
            values = values - np.nanmedian(values[inner, inner])
        made = scaled(values, role, spec)
        if made is not None:
            pixels[channel] = np.where(np.isfinite(made), made, 0)
        elif role != primary:
            raw[role] = None
    return pixels, flags(raw, images, primary, (x, y, size))


def flags(
    raw: Mapping[str, Floats | None],
    images: Mapping[str, tuple[NDArray[np.float32], dict[str, Any]]],
    primary: str,
    place: tuple[int, int, int],
) -> NDArray[np.uint8]:
    x, y, size = place
    on_image = np.isfinite(window(np.zeros(images[primary][0].shape), x, y, size))
    out = np.zeros((size, size), np.uint8)
    for role in ROLES:
        values = raw[role]
        gone = np.isnan(values) if values is not None else np.ones((size, size), bool)
        if role == primary:
            out[gone & on_image] |= MISSING
            out[~on_image] |= PADDED
        else:
            out[gone] |= OTHER_MISSING
        said = images[role][1] if role in images else {}
        full = said.get("SATURATE", 65535 if said.get("BZERO") == 32768 else None)
        if role != "difference" and full is not None and values is not None:
            out[values >= 0.95 * full] |= SATURATED
    return out


def vectors() -> Iterator[tuple[str, NDArray[np.float32], NDArray[np.uint8]]]:
    """Yield the name of a vector, `case/spec`, with its pixels and flags."""
    for name, case in CASES.items():
        if "refused" not in case:
            for spec in case["specs"]:
                yield (f"{name}/{spec}", *stamp(name, SPECS[spec]))


def write_vectors() -> None:
    arrays: dict[str, NDArray[Any]] = {}
    for name, pixels, bits in vectors():
        arrays[f"{name}/pixels"], arrays[f"{name}/flags"] = pixels, bits
    np.savez_compressed(FOLDER / "expected.npz", **arrays)  # type: ignore[arg-type]  # its stub forgets names
    defaults = {"survey": "generic", "kind": "raw", "x": 23.7, "y": 20.2, "refused": None}
    cases = [{"name": name, **defaults, **case} for name, case in CASES.items()]
    document = {"specs": SPECS, "cases": cases}
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    (FOLDER / "cases.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_files()
    write_vectors()
