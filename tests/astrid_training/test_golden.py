"""Golden vectors hold, are what plain formulas give, and a step that changes is found by them."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astrid_training import golden
from astrid_training.errors import GoldenVectorError
from astrid_training.params import CHANNELS, DEFAULT_PROCESSOR, PreprocessSpec
from astrid_training.processor import AstronomicalImageProcessor, ExposureFrames
from astrid_training.surveys import Frame

SCRIPT = Path(__file__).parents[1] / "golden" / "make_vectors.py"
SPECS = {name: PreprocessSpec(**fields) for name, fields in golden._document()["specs"].items()}
VECTORS = [(case, spec) for case in golden.cases() for spec in case.specs]
MADE = [vector for vector in VECTORS if vector[0].refused is None]


def name_of(value: Any) -> str:
    return value.name if isinstance(value, golden.Case) else str(value)


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(golden.FOLDER / "expected.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.mark.parametrize(("case", "spec"), MADE, ids=name_of)
def test_a_vector_holds(case: golden.Case, spec: str, expected: dict[str, np.ndarray]) -> None:
    stamp = AstronomicalImageProcessor(SPECS[spec]).apply(case.frames(), case.x, case.y)

    name = f"{case.name}/{spec}"
    assert stamp.pixels.dtype == expected[f"{name}/pixels"].dtype == np.float32
    assert_allclose(stamp.pixels, expected[f"{name}/pixels"], rtol=0, atol=golden.TOLERANCE)
    assert_array_equal(stamp.flags, expected[f"{name}/flags"])


@pytest.mark.parametrize(("case", "spec"), MADE, ids=name_of)
def test_pixels_in_memory_give_the_bits_of_the_file(case: golden.Case, spec: str) -> None:
    frames = case.frames()
    native: dict[str, Frame | None] = {}
    for role in CHANNELS:
        frame = frames.role(role)
        native[role] = frame and Frame(
            frame.data * np.float32(frame.sign), frame.wcs, frame.meta, frame.kind, frame.sign
        )
    assert native["science"] is not None
    held = ExposureFrames(native["science"], native["reference"], native["difference"])

    processor = AstronomicalImageProcessor(SPECS[spec])
    filed, memory = (processor.apply(one, case.x, case.y) for one in (frames, held))

    assert filed.pixels.tobytes() == memory.pixels.tobytes()
    assert filed.flags.tobytes() == memory.flags.tobytes()


def test_the_expected_stamps_are_those_of_the_plain_formulas(
    expected: dict[str, np.ndarray],
) -> None:
    script = runpy.run_path(str(SCRIPT))

    names = set()
    for name, pixels, flags in script["vectors"]():
        assert_allclose(expected[f"{name}/pixels"], pixels, rtol=0, atol=golden.TOLERANCE / 10)
        assert_array_equal(expected[f"{name}/flags"], flags)
        names |= {f"{name}/pixels", f"{name}/flags"}
    assert names == set(expected)


def test_every_preset_and_every_trap_has_a_vector() -> None:
    assert {SPECS[spec].scale for _, spec in VECTORS} == golden.SCALES
    assert PreprocessSpec() in SPECS.values()
    assert {case.name for case in golden.cases()} >= {
        "nan_block",
        "edge",
        "saturated_star",
        "negative_source",
        "constant_difference",
        "constant_reference",
        "uint16",
        "big_endian_doubles",
        "multi_hdu",
    }
    assert golden.check_golden_vectors() == len(VECTORS)


def test_vectors_are_light() -> None:
    assert sum(path.stat().st_size for path in golden.FOLDER.iterdir()) < 700_000


@pytest.mark.parametrize(
    ("module", "name", "value", "vector"),
    [
        ("scaling", "MAD_TO_SIGMA", 1.48, "plain/asinh: .* instead of .* in (science|difference)"),
        ("scaling", "PERCENTILES", (0.9, 99.0), "plain/percentile"),
        ("background", "CLIP_SIGMA", 2.5, "plain/asinh"),
        ("processor", "SATURATED_FROM", 1.01, "flags of saturated_star/asinh: 0 instead of 2"),
        ("processor", "LEAST_ON_IMAGE", 0.9, "edge/asinh: the stamp must be made and is edge"),
    ],
)
def test_a_changed_constant_is_found(
    monkeypatch: pytest.MonkeyPatch, module: str, name: str, value: object, vector: str
) -> None:
    monkeypatch.setattr(f"astrid_training.{module}.{name}", value)

    with pytest.raises(GoldenVectorError, match=vector) as caught:
        golden.check_recipe(DEFAULT_PROCESSOR, PreprocessSpec())
    assert "install the versions that constraints.txt lists" in str(caught.value)


def test_a_stamp_that_must_be_refused_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = [case._replace(refused=None) for case in golden.cases() if case.refused]
    monkeypatch.setattr(golden, "cases", lambda: refused)

    with pytest.raises(GoldenVectorError, match="must be made and is constant"):
        golden.check_golden_vectors()


def test_a_users_own_profiles_do_not_move_the_vectors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "surveys").mkdir()
    own = "generic: {difference_sign: -1, pixel_scale_arcsec: 1.0, psf_fwhm_px: 3.0}"
    (tmp_path / "surveys" / "own.yaml").write_text(own)
    monkeypatch.setenv("ASTRID_TRAINING_HOME", str(tmp_path))

    golden.check_golden_vectors({"asinh"})
