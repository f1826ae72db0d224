"""build_exposure: one outcome per target, framed by the sky, measured on its own pixels."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from astrid_training.digests import digest_bytes
from astrid_training.exposures import ExposureContext, ExposureStamps, Target, build_exposure
from astrid_training.measure import MEASUREMENTS
from astrid_training.params import PreprocessSpec
from astrid_training.processor import AstronomicalImageProcessor, ExposureFrames
from astrid_training.surveys import Frame, FrameMeta, profile_for

HEIGHT, WIDTH = 260, 320
GRID = WCS(
    fits.Header(
        {
            "CTYPE1": "RA---TAN",
            "CTYPE2": "DEC--TAN",
            "CRVAL1": 210.0,
            "CRVAL2": 40.0,
            "CRPIX1": 160.5,
            "CRPIX2": 130.5,
            "CD1_1": -1.01 / 3600,
            "CD1_2": 0.0,
            "CD2_1": 0.0,
            "CD2_2": 1.01 / 3600,
        }
    )
)
META = FrameMeta(
    gain=6.2,
    read_noise=10.3,
    saturation=50000.0,
    zero_point=26.0,
    mjd_mid=60400.5,
    time_scale="utc",
    exposure_s=30.0,
    seeing_px=2.5,
    pixel_scale_arcsec=1.01,
    units="DN",
)
CONTEXT = ExposureContext("sim_ztf", "ztf_r", None, None, profile_for("sim_ztf"))
SIGMA_S, SIGMA_R = 8.0, 3.0
SIGMA_D = math.hypot(SIGMA_S, SIGMA_R)


def noise(level: float, sigma: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(level, sigma, (HEIGHT, WIDTH)).astype(np.float32)


def add_source(image: np.ndarray, x: float, y: float, peak: float, long: float = 1.0) -> None:
    rows, columns = np.indices(image.shape)
    sigma = 2.5 / 2.3548
    radius2 = ((columns - x) / long) ** 2 + (rows - y) ** 2
    image += peak * np.exp(-radius2 / 2 / sigma**2).astype(np.float32)


def frames(**metas: FrameMeta) -> ExposureFrames:
    difference = noise(0, SIGMA_D, 3)
    add_source(difference, 100.3, 90.4, 900)
    add_source(difference, 200, 150, -900, long=3)
    return ExposureFrames(
        Frame(noise(250, SIGMA_S, 1), GRID, metas.get("science", META)),
        Frame(noise(90, SIGMA_R, 2), GRID, metas.get("reference", META)),
        Frame(difference, GRID, metas.get("difference", META)),
    )


def target(key: str, x: float, y: float) -> Target:
    ra, dec = GRID.all_pix2world(x, y, 0)
    return Target(key, float(ra), float(dec), round(x), round(y))


def build(
    images: ExposureFrames, *targets: Target, context: ExposureContext = CONTEXT
) -> ExposureStamps:
    processor = AstronomicalImageProcessor(PreprocessSpec())
    return build_exposure(images, targets, processor, context)


def row_of(
    images: ExposureFrames, x: float = 150, y: float = 200, **context: Any
) -> dict[str, Any]:
    built = build(images, target("k", x, y), context=replace(CONTEXT, **context))
    row: dict[str, Any] = built.measures.to_pylist()[0]
    return row


def test_each_target_is_a_row_or_a_reject_in_its_order() -> None:
    images = frames()
    assert images.difference is not None
    images.difference.pixels[200:, 200:] = np.nan
    images.difference.pixels[:100, 220:] = 5.0
    targets = [
        target("good", 100, 90),
        target("off", 400, 90),
        target("edge", 5, 90),
        target("hole", 260, 245),
        target("flat", 280, 40),
        *(target(f"more {i}", 100 + i, 150) for i in range(40)),  # beyond one block
    ]

    built = build(images, *targets)

    reasons = {reject.sample_key: reject.reason for reject in built.rejects}
    assert reasons == {
        "off": "off_image",
        "edge": "edge",
        "hole": "no_valid_pixels",
        "flat": "constant",
    }
    assert {reject.step for reject in built.rejects} == {"preprocess"}
    keys = built.measures["sample_key"].to_pylist()
    assert keys == ["good", *(f"more {i}" for i in range(40))]
    assert built.pixels.shape == (41, 3, 72, 72)
    assert built.flags.shape == (41, 72, 72)
    assert built.measures.schema == MEASUREMENTS


def test_no_targets_make_an_empty_table_of_the_same_schema() -> None:
    built = build(frames())

    assert (built.measures.num_rows, built.measures.schema) == (0, MEASUREMENTS)
    assert built.pixels.shape == (0, 3, 72, 72)


def test_the_same_inputs_give_the_same_bytes_in_any_company() -> None:
    alone = build(frames(), target("a", 100.3, 90.4))
    among = build(
        frames(), *(target(str(i), 60 + i, 80) for i in range(33)), target("a", 100.3, 90.4)
    )

    assert alone.measures.to_pylist()[0] == among.measures.to_pylist()[-1]
    assert alone.pixels[0].tobytes() == among.pixels[-1].tobytes()


def test_digests_are_those_of_the_rows_bytes() -> None:
    built = build(frames(), target("a", 100, 90))
    row = built.measures.to_pylist()[0]

    assert row["image_digest"] == digest_bytes(built.pixels[0].tobytes())
    assert row["flag_digest"] == digest_bytes(built.flags[0].tobytes())


def test_the_stamp_is_framed_by_the_sky_and_the_target_lies_on_its_centroid() -> None:
    row = row_of(frames(), 100.0, 90.0)

    assert (row["frame_x"], row["frame_y"]) == pytest.approx((100.3, 90.4), abs=0.15)
    assert (row["x"], row["y"]) == pytest.approx((36.3, 36.4), abs=0.15)
    assert (row["frame_x"] - row["x"], row["frame_y"] - row["y"]) == (64, 54)
    assert row["position_flags"] == "refined"
    assert row["centroid_shift_px"] == pytest.approx(0.5, abs=0.15)


def test_what_headers_say_is_kept() -> None:
    row = row_of(frames())

    kept = ("zero_point", "gain", "saturation", "exposure_s", "mjd_mid", "time_scale", "units")
    assert [row[name] for name in kept] == [26.0, 6.2, 50000.0, 30.0, 60400.5, "utc", "DN"]
    assert (row["pixel_scale"], row["diff_sign"], row["source_kind"]) == (1.01, 1, "raw")


def test_what_nobody_knows_is_null() -> None:
    empty = FrameMeta()
    row = row_of(frames(science=empty, reference=empty, difference=empty))

    unknown = (
        "zero_point",
        "gain",
        "saturation",
        "exposure_s",
        "mjd_mid",
        "time_scale",
        "units",
        "pixel_scale",
        "saturated_centre",
        "depth_5sigma",
        "difference_noise_ratio",
        "registration_px",
        "cr_frac",
        "cr_at_centre",
        "elongation",
    )
    assert {name: row[name] for name in unknown} == dict.fromkeys(unknown)
    assert (row["fwhm_px"], row["fwhm_source"], row["cr_status"]) == (2.4, "profile", "off")


def test_levels_and_scales_are_those_of_each_image() -> None:
    row = row_of(frames())

    assert row["scale_science"] == pytest.approx(SIGMA_S, rel=0.05)
    assert row["scale_reference"] == pytest.approx(SIGMA_R, rel=0.05)
    assert row["scale_difference"] == pytest.approx(SIGMA_D, rel=0.05)
    assert abs(row["level_science"]) < 0.5
    assert row["level_difference"] == 0


def test_depth_is_the_magnitude_of_five_sigma_in_a_psf() -> None:
    row = row_of(frames())

    expected = 26.0 - 2.5 * math.log10(5 * row["background_rms"] * math.sqrt(2.266 * 2.5**2))
    assert row["depth_5sigma"] == pytest.approx(expected)
    assert row["background_rms"] == pytest.approx(SIGMA_S, rel=0.05)


@pytest.mark.parametrize("deeper", [0.0, 2.5])
def test_the_noise_ratio_is_1_where_the_difference_adds_none_in_any_units(deeper: float) -> None:
    """A reference of 10 times the counts a magnitude has 10 times the noise to explain."""
    factor = 10 ** (0.4 * deeper)
    images = frames(reference=replace(META, zero_point=26.0 + deeper))
    assert images.reference is not None
    scaled = ExposureFrames(
        images.science,
        replace(images.reference, pixels=images.reference.pixels * factor),
        images.difference,
    )

    assert row_of(scaled)["difference_noise_ratio"] == pytest.approx(1, abs=0.05)


def test_snr_and_elongation_describe_the_source() -> None:
    round_one, trail, nothing = (
        row_of(frames(), *at) for at in ((100.3, 90.4), (200.0, 150.0), (50.0, 200.0))
    )

    assert round_one["snr"] > 50
    assert round_one["elongation"] == pytest.approx(1, abs=0.15)
    assert trail["elongation"] > 1.5
    assert nothing["snr"] < 5
    assert nothing["elongation"] is None


def test_holes_and_saturation_are_counted_in_the_centre_and_in_the_stamp() -> None:
    images = frames()
    assert images.difference is not None
    assert images.reference is not None
    images.difference.pixels[200, 150:153] = np.nan  # the last is beyond the margin of 2
    images.difference.pixels[200, 153] = np.nan
    images.reference.pixels[:232, :] = np.where(
        np.indices((232, WIDTH))[0] >= 200, np.nan, images.reference.pixels[:232]
    )
    images.science.pixels[198, 148] = 49_000

    row = row_of(images)

    assert row["central_bad"] == 3
    assert row["valid_frac"] == 1 - 4 / 64**2
    assert row["template_coverage"] == 0.5
    assert row["saturated_centre"] is True
    assert row["is_constant"] is False


def test_without_a_difference_there_is_nothing_to_measure_on_it() -> None:
    images = frames()
    row = row_of(ExposureFrames(images.science, images.reference))

    names = ("diff_sign", "difference_noise_ratio", "snr", "elongation", "scale_difference")
    assert {name: row[name] for name in names} == dict.fromkeys(names)
    assert row["position_flags"] == ""


def test_images_of_different_kinds_are_named_one_by_one() -> None:
    images = frames()
    mixed = ExposureFrames(replace(images.science, kind="processed"), None, images.difference)

    assert row_of(mixed)["source_kind"] == "science=processed,difference=raw"
