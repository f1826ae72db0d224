"""An inference service gets the dataset's own bits, from files or arrays, without torch or Prefect."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal
from sqlalchemy import text

from astrid_training.catalogue import get_dataset
from astrid_training.dataset import splits_from
from astrid_training.errors import (
    DatasetNotFoundError,
    DatasetRevokedError,
    FitsRefusedError,
    ParityError,
    ProcessorError,
)
from astrid_training.inference import (
    frames_from_arrays,
    frames_from_files,
    network_input,
    pixel_positions,
    processor_of,
)
from astrid_training.params import CHANNELS, Channel
from astrid_training.processor import AstronomicalImageProcessor, ExposureFrames
from astrid_training.records import PublishedDataset
from astrid_training.samples import read_samples
from astrid_training.settings import Settings
from tests.astrid_training.other_processor import Halved, Subclass

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "preprocess-at-inference.md"
Collect = Callable[..., PublishedDataset]
Row = dict[str, Any]


@dataclass
class Made:
    """A dataset and how its database is found."""

    sky: Any
    published: PublishedDataset
    settings: Settings

    @property
    def rows(self) -> list[Row]:
        record = get_dataset(self.sky.engine, str(self.published.dataset_id))
        rows: list[Row] = read_samples(self.sky.store, record.samples_key).to_pylist()
        return rows

    def path(self, row: Row, role: str) -> Path:
        return Path(self.sky.home / "store" / row[f"{role}_path"])

    def packed(self, row: Row) -> tuple[np.ndarray, np.ndarray]:
        images = self.sky.packs.open("images", row["image_pack"])
        flags = self.sky.packs.open("flags", row["flag_pack"])
        return images[row["image_row"]], flags[row["image_row"]]


@pytest.fixture
def settings(sky: Any) -> Settings:
    url = sky.engine.url.render_as_string(hide_password=False)
    return Settings(sky.home, {"database_url": url}, {})


@pytest.fixture
def made(sky: Any, collect: Collect, settings: Settings) -> Made:
    return Made(sky, collect(), settings)


def from_files(made: Made, row: Row) -> ExposureFrames:
    paths = [made.path(row, role) for role in CHANNELS]
    kinds = {role: row[f"{role}_kind"] for role in CHANNELS}
    return frames_from_files(row["survey"], *paths, kinds=kinds)


def from_arrays(made: Made, row: Row) -> ExposureFrames:
    images = []
    for role in CHANNELS:
        with fits.open(made.path(row, role)) as hdus:
            number = 0 if hdus[0].data is not None else 1 + CHANNELS.index(role)
            images.append((np.array(hdus[number].data), hdus[number].header.copy()))
    kinds = {role: row[f"{role}_kind"] for role in CHANNELS}
    return frames_from_arrays(row["survey"], *images, kinds=kinds)


def position(frames: ExposureFrames, row: Row) -> tuple[float, float]:
    x, y = pixel_positions(frames, [row["ra_deg"]], [row["dec_deg"]], [(31.0, 31.0)])
    return float(x[0]), float(y[0])


@pytest.mark.parametrize("frames_of", [from_files, from_arrays])
def test_stamps_of_frames_are_those_of_the_pack_to_the_bit(
    made: Made, frames_of: Callable[..., ExposureFrames]
) -> None:
    processor = AstronomicalImageProcessor.from_dataset(made.published.dataset_id, made.settings)
    rows = made.rows[::3]

    for row in rows:
        frames = frames_of(made, row)
        stamp = processor.apply(frames, *position(frames, row))
        pixels, flags = made.packed(row)
        assert stamp.pixels.tobytes() == pixels.tobytes()
        assert stamp.flags.tobytes() == flags.tobytes()
    assert len(rows) > 15


def give_stamps(sky: Any, detections: list[str]) -> None:
    """Let detections be cut from stamps of their own, each of 63 x 63 px without a WCS."""
    random = np.random.default_rng(7)
    y, x = np.indices((63, 63)) - 31
    source = 400 * np.exp(-(x**2 + y**2) / 3)
    with sky.engine.begin() as connection:
        for number, detection in enumerate(detections):
            hdus = [fits.PrimaryHDU()]
            for role in CHANNELS:
                image = random.normal(0 if role == "difference" else 200, 6, (63, 63)) + source
                hdus.append(fits.ImageHDU(image.astype(np.float32), name=role.upper()))
            path = sky.home / "store" / "stamps" / f"{number}.fits"
            path.parent.mkdir(exist_ok=True)
            fits.HDUList(hdus).writeto(path)
            connection.execute(
                text(
                    "UPDATE detections SET pixel_x = 31, pixel_y = 31, prediction_metadata = "
                    "CAST(:told AS jsonb) WHERE id = :id"
                ),
                {"told": json.dumps({"stamp_path": f"stamps/{number}.fits"}), "id": detection},
            )


@pytest.mark.parametrize("frames_of", [from_files, from_arrays])
def test_stamps_of_stamps_are_those_of_the_pack_to_the_bit(
    sky: Any, collect: Collect, settings: Settings, frames_of: Callable[..., ExposureFrames]
) -> None:
    frames_only = Made(sky, collect(name="frames"), settings)
    give_stamps(sky, [row["detection_id"] for row in frames_only.rows if row["detection_id"]][:24])
    made = Made(sky, collect(name="mixed", allow_mixed_sources=True), settings)
    processor = AstronomicalImageProcessor.from_dataset("mixed", settings)
    rows = [row for row in made.rows if row["science_kind"] == "stamp"]

    for row in rows:
        frames = frames_of(made, row)
        stamp = processor.apply(frames, *position(frames, row))
        pixels, flags = made.packed(row)
        assert stamp.pixels.tobytes() == pixels.tobytes()
        assert stamp.flags.tobytes() == flags.tobytes()
    assert len(rows) > 10


def test_a_network_sees_what_the_loader_hands_it(made: Made, tmp_path: Path) -> None:
    record = get_dataset(made.sky.engine, str(made.published.dataset_id))
    channels: tuple[Channel, ...] = ("difference", "science")
    train = splits_from(record, made.sky.store, tmp_path, channels).train
    rows = {row["sample_key"]: row for row in made.rows}
    processor = AstronomicalImageProcessor.from_dataset(record.version_id, made.settings)

    for sample in (train[index] for index in range(0, len(train), 9)):
        row = rows[sample.key]
        frames = from_files(made, row)
        x, y = pixel_positions(frames, [row["ra_deg"]], [row["dec_deg"]])
        stamps = processor.apply_many(frames, x, y)
        seen = network_input(stamps.pixels, processor.spec, channels)
        assert seen.shape == (1, 2, 64, 64)
        assert_array_equal(seen[0], sample.image)


def test_the_code_of_the_page_gives_the_bits_of_the_dataset(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    assert len(code.strip().splitlines()) <= 14
    first = made.rows[0]
    same = [row for row in made.rows if row["difference_path"] == first["difference_path"]]
    for role in CHANNELS:
        (tmp_path / f"{role}.fits").symlink_to(made.path(first, role))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASTRID_DATABASE_URL", made.settings.database_url)
    names: dict[str, Any] = {
        "ra_deg": [row["ra_deg"] for row in same],
        "dec_deg": [row["dec_deg"] for row in same],
    }

    exec(compile(code.replace('"ztf"', '"sim_ztf"'), str(PAGE), "exec"), names)

    packed = np.stack([made.packed(row)[0] for row in same])
    assert_array_equal(names["images"], packed[:, 2:, 4:-4, 4:-4])


LIGHT = """
import sys
from pathlib import Path
from astrid_training.inference import frames_from_files, pixel_positions
from astrid_training.processor import AstronomicalImageProcessor
from astrid_training.settings import Settings
processor = AstronomicalImageProcessor.from_dataset(
    "validated-detections", Settings(Path("."), {"database_url": sys.argv[1]}, {}))
frames = frames_from_files("sim_ztf", *map(Path, sys.argv[2:5]))
processor.apply(frames, *(float(at[0]) for at in
    pixel_positions(frames, [float(sys.argv[5])], [float(sys.argv[6])])))
print(sorted({"torch", "prefect", "mlflow", "matplotlib"} & sys.modules.keys()))
"""


def test_a_service_imports_neither_torch_nor_prefect_nor_mlflow(made: Made) -> None:
    row = made.rows[0]
    paths = [str(made.path(row, role)) for role in CHANNELS]
    place = [str(row["ra_deg"]), str(row["dec_deg"])]

    done = subprocess.run(
        [sys.executable, "-c", LIGHT, made.settings.database_url, *paths, *place],
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_other_code_is_refused(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    from astrid_training import processor

    raised = {**processor.ALGORITHMS, "fill": processor.ALGORITHMS["fill"] + 1}
    monkeypatch.setattr(processor, "ALGORITHMS", raised)

    with pytest.raises(ParityError, match="collect the dataset again"):
        AstronomicalImageProcessor.from_dataset("validated-detections", made.settings)


def test_a_dataset_that_another_class_prepared_is_asked_for_by_another_name(
    sky: Any, collect: Collect, settings: Settings
) -> None:
    module = Halved.__module__
    collect(name="theirs", processor=f"{module}:Halved")
    collect(name="derived", processor=f"{module}:Subclass")

    with pytest.raises(ProcessorError, match=r"take inference\.processor_of"):
        AstronomicalImageProcessor.from_dataset("theirs", settings)
    assert isinstance(processor_of("theirs", settings), Halved)
    assert isinstance(AstronomicalImageProcessor.from_dataset("derived", settings), Subclass)


def test_datasets_are_found_as_the_loader_finds_them(made: Made) -> None:
    with pytest.raises(DatasetNotFoundError):
        processor_of("nobody", made.settings)
    with made.sky.engine.begin() as connection:
        connection.execute(text("UPDATE training_datasets SET status = 'revoked'"))
    identity = made.published.dataset_id
    with pytest.raises(DatasetRevokedError):
        processor_of(identity, made.settings)
    assert processor_of(identity, made.settings, allow_revoked=True)


def test_a_broken_file_is_refused_as_in_a_collection(tmp_path: Path) -> None:
    path = tmp_path / "science.fits"
    path.write_bytes(b"<html>not found</html>")

    with pytest.raises(FitsRefusedError):
        frames_from_files("ztf", path)


@pytest.mark.parametrize(
    "pixels",
    [
        np.arange(6400, dtype=np.uint16).reshape(80, 80),
        np.arange(6400, dtype=np.int16).reshape(80, 80),
        np.arange(6400, dtype=">f4").reshape(80, 80),
        np.arange(6400, dtype="<f4").reshape(80, 80),
        np.arange(6400, dtype=np.float64).reshape(80, 80),
    ],
    ids=lambda pixels: pixels.dtype.str,
)
def test_arrays_of_any_type_are_read_as_a_file_of_them(pixels: np.ndarray, tmp_path: Path) -> None:
    cards = {"GAIN": 2.5, "MAGZP": 26.1, "SATURATE": 5e4, "EXTNAME": "OTHER", "BZERO": 7.0}
    fits.PrimaryHDU(pixels, fits.Header({"GAIN": 2.5, "MAGZP": 26.1, "SATURATE": 5e4})).writeto(
        tmp_path / "plain.fits"
    )

    held = frames_from_arrays("ztf", (pixels, fits.Header(cards))).science
    filed = frames_from_files("ztf", tmp_path / "plain.fits").science

    assert held.meta == filed.meta
    assert held.meta.saturation == 5e4
    assert held.data.tobytes() == filed.data.tobytes()


def test_unsigned_counts_say_where_they_are_full() -> None:
    counts = np.arange(6400, dtype=np.uint16).reshape(80, 80)

    assert frames_from_arrays("ztf", (counts, fits.Header())).science.meta.saturation == 65535
