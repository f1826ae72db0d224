"""Stamps do not depend on how their files were read: whole, in rows, in tiles, from here or afar."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from astrid_training import source_cache
from astrid_training.batches import TARGETS
from astrid_training.build import build_stamps
from astrid_training.downloads import SourceCache, fetch_sources
from astrid_training.packs import PackCache, put_table, read_table
from astrid_training.params import PreprocessSpec
from astrid_training.parts import AbsentBytesError, Part, is_part
from astrid_training.pixels import AbsentPixelsError
from astrid_training.processor import AstronomicalImageProcessor
from astrid_training.records import Downloaded, SourceFile
from astrid_training.sources import Sources
from astrid_training.stamps import ROLES
from astrid_training.store import Store
from astrid_training.surveys import profile_for, read_frame

HEIGHT, WIDTH = 1100, 420
SPEC = PreprocessSpec(channels=("science", "reference", "difference"))
EDGES = [(100.0, 90.0), (36.0, 36.0), (0.0, 0.0), (200.4, 1099.0), (419.0, 60.0), (130.2, 140.7)]

Images = dict[str, bytes]


def make_wcs() -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 2.0], [WIDTH / 2, HEIGHT / 2]
    wcs.wcs.cdelt = [-1.01 / 3600, 1.01 / 3600]
    return wcs


def make_pixels(seed: int, sky: float) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    pixels = rng.normal(sky, 10, (HEIGHT, WIDTH)).astype(np.float32)
    for x, y in rng.uniform(0, (WIDTH, HEIGHT), (200, 2)):
        rows, columns = (slice(max(round(at) - 8, 0), round(at) + 9) for at in (y, x))
        box = pixels[rows, columns]
        yy, xx = np.mgrid[
            rows.start : rows.start + box.shape[0], columns.start : columns.start + box.shape[1]
        ]
        box += (900 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 3)).astype(np.float32)
    pixels[80:120, 150:170] = np.nan
    return pixels


def saved(*hdus: Any) -> bytes:
    stream = BytesIO()
    fits.HDUList(list(hdus)).writeto(stream)
    return stream.getvalue()


def header(**cards: Any) -> fits.Header:
    made = make_wcs().to_header()
    made.update({"GAIN": 6.2, "READNOI": 10.0, "SATURATE": 60000.0, **cards})
    return made


def floats(pixels: NDArray[np.float32]) -> bytes:
    return saved(fits.PrimaryHDU(pixels, header()))


def doubles(pixels: NDArray[np.float32]) -> bytes:
    return saved(fits.PrimaryHDU(pixels.astype(np.float64), header()))


def integers(pixels: NDArray[np.float32], *, blank: int = -32768) -> bytes:
    counts = np.where(np.isnan(pixels), blank, np.round(np.nan_to_num(pixels) * 4)).astype(np.int16)
    hdu = fits.PrimaryHDU(counts, header())
    hdu.header.update({"BSCALE": 0.25, "BZERO": 3.0, "BLANK": blank})
    stream = BytesIO()
    hdu.writeto(stream)
    made = stream.getvalue()
    with fits.open(BytesIO(made), do_not_scale_image_data=True) as hdus:
        assert hdus[0].data.dtype == ">i2"
    return made


def tiles(pixels: NDArray[np.float32], shape: tuple[int, int], **how: Any) -> bytes:
    image = fits.CompImageHDU(pixels, header(), tile_shape=shape, compression_type="RICE_1", **how)
    return saved(fits.PrimaryHDU(), image)


def with_planes(pixels: NDArray[np.float32]) -> bytes:
    flags = np.random.default_rng(5).integers(0, 9, pixels.shape).astype(np.int16)
    named = [
        fits.ImageHDU(pixels, header(), name="SCI"),
        fits.ImageHDU(np.ones_like(pixels), name="ERR"),
        fits.ImageHDU(flags, name="DQ"),
    ]
    return saved(fits.PrimaryHDU(), *named)


FORMS: dict[str, Callable[[NDArray[np.float32]], bytes]] = {
    "float32": floats,
    "float64": doubles,
    "int16 with BLANK": integers,
    "RICE in square tiles": lambda pixels: tiles(pixels, (128, 128)),
    "RICE in rows": lambda pixels: tiles(pixels, (1, WIDTH)),
    "dithered RICE": lambda pixels: tiles(pixels, (100, 90), quantize_method=1, dither_seed=7),
    "planes": with_planes,
}


def images_as(form: Callable[[NDArray[np.float32]], bytes]) -> Images:
    science, reference = make_pixels(1, 300), make_pixels(2, 280)
    return {
        "science": form(science),
        "reference": form(reference),
        "difference": form(science - reference),
    }


def targets(store: Store, survey: str, places: list[tuple[float, float]]) -> pa.Table:
    sky = make_wcs().all_pix2world(np.array(places), 0)
    rows = []
    for number, (ra, dec) in enumerate(sky.tolist()):
        row: dict[str, Any] = dict.fromkeys(TARGETS.names)
        row |= {"sample_key": f"{number:032d}", "observation_id": "one", "survey": survey}
        row |= {"band": "r", "ra_deg": ra, "dec_deg": dec}
        for role in ROLES:
            found = store.head(f"{role}.fits")
            assert found
            row |= {f"{role}_path": f"{role}.fits", f"{role}_kind": "raw"}
            row |= {f"{role}_etag": found.etag, f"{role}_size": found.size}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=TARGETS)


class Build:
    """A store of files, and what is built from them through a cache."""

    def __init__(self, store: Store, folder: Path, images: Images, survey: str = "sim_ztf") -> None:
        for role, content in images.items():
            store.put(f"{role}.fits", content)
        self.store, self.folder, self.survey = store, folder, survey
        self.results = Store(f"file://{folder}/results")

    def run(
        self, places: list[tuple[float, float]], spec: PreprocessSpec = SPEC
    ) -> tuple[Downloaded, list[Any]]:
        """Return what was fetched, and the arrays and tables that were built."""
        table = targets(self.store, self.survey, places)
        cache = SourceCache(Sources(self.store), self.folder / "sources")
        fetched = fetch_sources(cache, table, spec)
        digest = put_table(self.results, "targets", table)
        made = build_stamps(self.results, cache, digest, fetched, AstronomicalImageProcessor(spec))
        rows = read_table(self.results, "stamps", made.stamps).to_pylist()
        if not rows:
            return fetched, [made.rejects]
        packs = PackCache(self.results, self.folder / "packs")
        arrays = {
            kind: np.asarray(packs.open(kind, rows[0][column]))
            for kind, column in (
                ("images", "image_pack"),
                ("flags", "flag_pack"),
                ("significance", "significance_pack"),
            )
        }
        measures = read_table(self.results, "measures", rows[0]["measure_table"])
        return fetched, [*arrays.values(), measures.to_pylist(), made.rejects]


@pytest.fixture(autouse=True)
def _small_files_come_in_parts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_cache, "SMALL_BYTES", 0)
    monkeypatch.setattr(source_cache, "GAP_BYTES", 0)
    monkeypatch.setattr(source_cache, "HEAD_BYTES", 2880)


@pytest.fixture
def bucket(s3_server: Any) -> Store:
    store: Store = s3_server.make_store()
    return store


@pytest.mark.parametrize("form", FORMS)
def test_parts_from_afar_give_the_bits_of_the_whole_file_in_place(
    bucket: Store, tmp_path: Path, form: str
) -> None:
    survey = "sim_hst" if form == "planes" else "sim_ztf"
    images = images_as(FORMS[form])
    places = EDGES[:2]
    here = Build(Store(f"file://{tmp_path}/store"), tmp_path / "here", images, survey)
    afar = Build(bucket, tmp_path / "afar", images, survey)

    _, expected = here.run(places)
    fetched, got = afar.run(places)

    assert all(file.extents for file in fetched.files)
    assert expected[0].shape == (2, 3, 72, 72)
    for one, other in zip(got, expected, strict=True):
        if isinstance(one, np.ndarray):
            assert_array_equal(one, other)
        else:
            assert one == other


def assert_same(got: list[Any], expected: list[Any]) -> None:
    for one, other in zip(got, expected, strict=True):
        if isinstance(one, np.ndarray):
            assert_array_equal(one, other)
        else:
            assert one == other


@pytest.mark.parametrize("place", EDGES)
@pytest.mark.parametrize("form", ["float32", "RICE in square tiles"])
def test_edges_corners_and_holes_are_the_same_too(
    bucket: Store, tmp_path: Path, form: str, place: tuple[float, float]
) -> None:
    images = images_as(FORMS[form])
    spec = SPEC.model_copy(update={"cosmic_rays": "flag"})
    both = [EDGES[0], place]

    _, expected = Build(Store(f"file://{tmp_path}/s"), tmp_path / "a", images).run(both, spec)
    fetched, got = Build(bucket, tmp_path / "b", images).run(both, spec)

    assert all(file.extents for file in fetched.files)
    assert_same(got, expected)


class Watched(Sources):
    """Sources that note the bytes they were asked for; 0 to None is a whole file."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.asked: list[tuple[int, int | None]] = []

    def get_range(self, path: str, etag: str, start: int, stop: int) -> bytes:
        self.asked.append((start, stop))
        return super().get_range(path, etag, start, stop)

    def save(self, path: str, size: int, etag: str, target: Path) -> None:
        self.asked.append((0, None))
        super().save(path, size, etag, target)


def fetch_one(
    store: Store, folder: Path, places: list[tuple[float, float]], **how: Any
) -> tuple[Downloaded, SourceCache, Watched]:
    """Fetch `science.fits` for stamps at some places."""
    sources = Watched(store)
    cache = SourceCache(sources, folder)
    for role in ROLES:
        if store.head(f"{role}.fits") is None:
            store.put(f"{role}.fits", b"")
    rows = targets(store, "sim_ztf", places).to_pylist()
    for row in rows:
        row |= {f"{role}_{what}": None for role in ROLES[1:] for what in ("path", "etag", "size")}
    return fetch_sources(cache, pa.Table.from_pylist(rows, TARGETS), SPEC, **how), cache, sources


def test_pixels_that_were_not_fetched_are_never_given(bucket: Store, tmp_path: Path) -> None:
    bucket.put("science.fits", floats(make_pixels(1, 300)))
    fetched, cache, _ = fetch_one(bucket, tmp_path, [(100, 90)])

    frame = read_frame(cache.path(fetched.files[0]), profile_for("sim_ztf"), "science")

    assert is_part(cache.path(fetched.files[0]))
    assert np.isfinite(frame.window(slice(60, 100), slice(0, 100))).any()
    for rows in (slice(700, 701), slice(0, HEIGHT), slice(250, 400)):
        with pytest.raises(AbsentPixelsError, match="not fetched"):
            frame.window(rows, slice(0, 10))


def test_tiles_that_were_not_fetched_are_never_given(bucket: Store, tmp_path: Path) -> None:
    bucket.put("science.fits", tiles(make_pixels(1, 300), (128, 128)))
    fetched, cache, _ = fetch_one(bucket, tmp_path, [(60, 90)])
    frame = read_frame(cache.path(fetched.files[0]), profile_for("sim_ztf"), "science")

    with pytest.raises(AbsentBytesError, match="not fetched"):
        frame.window(slice(60, 100), slice(400, 420))


def test_a_later_batch_fetches_only_what_it_lacks(bucket: Store, tmp_path: Path) -> None:
    bucket.put("science.fits", floats(make_pixels(1, 300)))
    fetch_one(bucket, tmp_path, [(100, 90)])

    again, _, sources = fetch_one(bucket, tmp_path, [(100, 90)])
    assert sources.asked == []
    later, cache, sources = fetch_one(bucket, tmp_path, [(100, 90), (100, 420)])

    first_row = next(start for start, _ in sources.asked)
    assert min(start for start, _ in sources.asked) == first_row >= again.files[0].extents[-1][1]
    assert cache.holds(later.files[0])
    assert cache.holds(again.files[0])


def test_a_file_of_which_most_is_needed_comes_whole(bucket: Store, tmp_path: Path) -> None:
    bucket.put("science.fits", floats(make_pixels(1, 300)))

    fetched, _, sources = fetch_one(bucket, tmp_path, [(50, y) for y in range(90, 1100, 200)])

    assert fetched.files[0].extents == ()
    assert sources.asked[-1] == (0, None)


def test_a_file_with_checksums_comes_whole_unless_nobody_verifies_them(
    bucket: Store, tmp_path: Path
) -> None:
    stream = BytesIO()
    fits.PrimaryHDU(make_pixels(1, 300), header()).writeto(stream, checksum=True)
    good = stream.getvalue()
    bucket.put("science.fits", good[:-6000] + bytes(3000) + good[-3000:])

    refused, _, _ = fetch_one(bucket, tmp_path / "a", [(100, 90)])
    assert [one.reason for one in refused.refused] == ["bad_checksum"]
    taken, _, sources = fetch_one(bucket, tmp_path / "b", [(100, 90)], verify_checksums=False)
    assert taken.files[0].extents
    assert (0, None) not in sources.asked
    here = SourceCache(Sources(Store(f"file://{tmp_path}/s")), tmp_path)
    Store(f"file://{tmp_path}/s").put("science.fits", bucket.get("science.fits"))
    found = Store(f"file://{tmp_path}/s").head("science.fits")
    assert found
    file = SourceFile("science.fits", found.etag, found.size)
    assert here.fetch(file, verify_checksums=False) == file


def all_missing() -> bytes:
    return floats(np.full((HEIGHT, WIDTH), np.nan, np.float32))


def large_integers() -> bytes:
    pixels = np.zeros((HEIGHT, WIDTH), np.int64)
    pixels[-1, -1] = 1 << 60
    return saved(fits.PrimaryHDU(pixels, header()))


def tile_outside() -> bytes:
    content = bytearray(tiles(make_pixels(1, 300), (128, 128)))
    with fits.open(BytesIO(bytes(content)), disable_image_compression=True) as hdus:
        table = hdus[1].fileinfo()["datLoc"]
    content[table + 4 : table + 8] = (1 << 30).to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        all_missing(),
        large_integers(),
        tile_outside(),
        floats(make_pixels(1, 300))[:-100_000],
        floats(make_pixels(1, 300)).replace(
            b"BITPIX  =                  -32", b"BITPIX  =                  -31"
        ),
        b"<html>" + bytes(9000),
        saved(fits.PrimaryHDU()),
    ],
    ids=["no value", "large integers", "tile outside", "truncated", "BITPIX", "html", "no image"],
)
def test_a_file_is_refused_for_the_same_reason_from_afar(
    bucket: Store, tmp_path: Path, content: bytes
) -> None:
    here = Store(f"file://{tmp_path}/store")
    for store in (here, bucket):
        store.put("science.fits", content)

    reasons = [
        [one.reason for one in fetch_one(store, tmp_path / f"{n}", [(100, 90)])[0].refused]
        for n, store in enumerate((here, bucket))
    ]

    assert reasons[0]
    assert reasons[0] == reasons[1]


def test_needed_rows_without_a_value_do_not_condemn_a_file(bucket: Store, tmp_path: Path) -> None:
    pixels = make_pixels(1, 300)
    pixels[:600] = np.nan
    bucket.put("science.fits", floats(pixels))

    fetched, _, sources = fetch_one(bucket, tmp_path, [(100, 90)])

    assert fetched.refused == []
    assert sources.asked[-1] == (0, None)  # the rest decides


def test_a_part_that_lost_its_pixels_does_not_hold_the_file(bucket: Store, tmp_path: Path) -> None:
    bucket.put("science.fits", floats(make_pixels(1, 300)))
    fetched, cache, _ = fetch_one(bucket, tmp_path, [(100, 90)])
    assert cache.holds(fetched.files[0])

    Part(cache.path(fetched.files[0])).path.unlink()

    assert not cache.holds(fetched.files[0])


def test_a_tile_that_cannot_be_decoded_is_refused_from_afar_as_from_here(
    bucket: Store, tmp_path: Path
) -> None:
    images = images_as(FORMS["RICE in square tiles"])
    with fits.open(BytesIO(images["reference"]), disable_image_compression=True) as hdus:
        table = hdus[1].header["NAXIS1"] * hdus[1].header["NAXIS2"]
        heap = hdus[1].fileinfo()["datLoc"] + table
    damaged = bytearray(images["reference"])
    damaged[heap : heap + 9000] = b"\xff" * 9000  # the first tile
    images["reference"] = bytes(damaged)

    _, expected = Build(Store(f"file://{tmp_path}/s"), tmp_path / "a", images).run(EDGES[:1])
    fetched, got = Build(bucket, tmp_path / "b", images).run(EDGES[:1])

    assert all(file.extents for file in fetched.files)
    for rejects in (got[0], expected[0]):
        assert [(one.step, one.reason) for one in rejects] == [("preprocess", "unreadable")]
