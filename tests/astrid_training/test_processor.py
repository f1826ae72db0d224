"""The processor: frames in, stamps out, every pixel where it belongs and every hole flagged."""

from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.testing import assert_array_equal

from astrid_training.params import PreprocessSpec
from astrid_training.processor import AstronomicalImageProcessor, ExposureFrames
from astrid_training.stamps import Flag, Stamp, StampRefusedError
from astrid_training.surveys import Frame, FrameMeta

HEIGHT, WIDTH = 200, 300
ROWS, COLUMNS = np.indices((HEIGHT, WIDTH))
NAMED = (1000 * ROWS + COLUMNS).astype(np.float32)  # exact in float32: a value names its pixel
IDENTITY = PreprocessSpec.identity()
CENTRE = 36  # of a stored stamp: 32 and a margin of 4


def noisy(level: float, sigma: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(level, sigma, (HEIGHT, WIDTH)).astype(np.float32)


def triple(**frames: np.ndarray) -> ExposureFrames:
    pixels = {
        "science": noisy(250, 7),
        "reference": noisy(250, 3, 1),
        "difference": noisy(0, 8, 2),
    } | frames
    return ExposureFrames(**{role: Frame(image) for role, image in pixels.items()})


def apply(frames: ExposureFrames, x: float, y: float, spec: PreprocessSpec | None = None) -> Stamp:
    return AstronomicalImageProcessor(spec).apply(frames, x, y)


def refusal(frames: ExposureFrames, x: float, y: float) -> str:
    with pytest.raises(StampRefusedError) as caught:
        apply(frames, x, y)
    return caught.value.reason


@pytest.mark.parametrize(
    ("x", "y", "pixel"),
    [
        (120, 90, (120, 90)),
        (120.49, 89.51, (120, 90)),
        (120.5, 90.5, (121, 91)),
        (121.5, 91.5, (122, 92)),
    ],
)
def test_the_pixel_that_holds_the_target_is_pixel_36_of_the_stamp(
    x: float, y: float, pixel: tuple[int, int]
) -> None:
    stamp = apply(ExposureFrames(Frame(NAMED)), x, y, IDENTITY)

    assert stamp.pixels[0, CENTRE, CENTRE] == NAMED[pixel[1], pixel[0]]
    assert (stamp.left, stamp.bottom) == (pixel[0] - CENTRE, pixel[1] - CENTRE)


def test_the_identity_spec_gives_the_files_bits() -> None:
    frames = triple(science=NAMED, reference=-NAMED, difference=noisy(0, 8) * np.float32(1 / 3))

    stamp = apply(frames, 120, 90, IDENTITY)

    window = slice(90 - CENTRE, 90 + CENTRE), slice(120 - CENTRE, 120 + CENTRE)
    for channel, frame in enumerate((frames.science, frames.reference, frames.difference)):
        assert frame is not None
        assert stamp.pixels[channel].tobytes() == frame.pixels[window].tobytes()
        assert stamp.raw[channel].tobytes() == frame.pixels[window].tobytes()
    assert not stamp.flags.any()


def test_a_native_stamp_of_odd_side_keeps_its_centre() -> None:
    rows, columns = np.indices((63, 63))
    native = Frame((100 * rows + columns).astype(np.float32), kind="stamp")
    spec = IDENTITY.model_copy(update={"margin": 0})

    stamp = apply(ExposureFrames(native), 31, 31, spec)

    assert_array_equal(stamp.pixels[0, 1:64, 1:64], native.pixels)
    assert_array_equal(stamp.flags[0], Flag.PADDED | Flag.OTHER_MISSING)


def test_beyond_the_edge_there_is_0_and_padded() -> None:
    stamp = apply(triple(), x=26, y=100)

    assert_array_equal(stamp.flags[:, :10], Flag.PADDED | Flag.OTHER_MISSING)
    assert not stamp.flags[:, 10:].any()
    assert not stamp.pixels[:, :, :10].any()


def test_missing_pixels_are_0_and_flagged_by_the_image_they_are_missing_in() -> None:
    frames = triple()
    assert frames.reference is not None
    assert frames.difference is not None
    frames.difference.pixels[100, 150] = np.nan
    frames.difference.pixels[100, 151] = -3.4028235e38
    frames.science.pixels[101, 150] = np.nan
    frames.reference.pixels[102, 150] = np.inf

    stamp = apply(frames, 150, 100)

    flagged = {(36, 36): 1, (36, 37): 1, (37, 36): 16, (38, 36): 16}
    assert {tuple(at): int(stamp.flags[tuple(at)]) for at in np.argwhere(stamp.flags)} == flagged
    assert stamp.pixels[2, 36, 36] == stamp.pixels[0, 37, 36] == stamp.pixels[1, 38, 36] == 0
    assert np.isfinite(stamp.pixels).all()


def test_without_a_difference_science_says_what_is_missing() -> None:
    science = noisy(250, 7)
    science[100, 150] = np.nan

    stamp = apply(ExposureFrames(Frame(science)), 150, 100)

    assert stamp.flags[36, 36] == Flag.MISSING | Flag.OTHER_MISSING
    assert stamp.flags[0, 0] == Flag.OTHER_MISSING  # neither reference nor difference
    assert not stamp.pixels[1:].any()
    assert np.isnan(stamp.scales[1:]).all()


def test_only_stored_channels_count_as_other_channels() -> None:
    spec = PreprocessSpec(channels=("difference",))
    frames = ExposureFrames(Frame(noisy(250, 7)), None, Frame(noisy(0, 8)))

    stamp = apply(frames, 150, 100, spec)

    assert stamp.pixels.shape == (1, 72, 72)
    assert not stamp.flags.any()


def test_channels_come_in_the_order_of_the_spec() -> None:
    one = apply(triple(), 150, 100)
    other = apply(triple(), 150, 100, PreprocessSpec(channels=("difference", "science")))

    assert_array_equal(other.pixels, one.pixels[[2, 0]])


def test_saturated_pixels_of_science_and_reference_are_flagged() -> None:
    frames = triple()
    science, reference = noisy(250, 7), noisy(250, 3)
    science[100, 150], science[100, 151], reference[101, 150] = 950, 949, 951
    meta = FrameMeta(saturation=1000.0)
    frames = ExposureFrames(
        Frame(science, meta=meta), Frame(reference, meta=meta), frames.difference
    )

    flags = apply(frames, 150, 100).flags

    assert np.argwhere(flags & Flag.SATURATED).tolist() == [[36, 36], [37, 36]]


def test_zero_of_the_difference_stays_zero_and_faded_sources_are_negative() -> None:
    difference = noisy(0, 8)
    difference[100, 150], difference[100, 152], difference[100, 154] = 0, -400, 400

    stamp = apply(triple(difference=difference), 150, 100)

    assert stamp.levels[2] == 0
    assert stamp.pixels[2, 36, 36] == 0
    assert stamp.pixels[2, 36, 38] == -stamp.pixels[2, 36, 40] < -3


def test_no_background_is_taken_from_a_difference() -> None:
    offset = triple(difference=noisy(100, 8))

    stamp = apply(offset, 150, 100)

    noise = stamp.scales[2]
    assert np.median(stamp.pixels[2]) == pytest.approx(np.arcsinh(100 / (3 * noise)), rel=0.01)


def test_the_noise_is_the_unit_whatever_the_gain_and_the_sky() -> None:
    one = apply(triple(science=noisy(250, 7)), 150, 100)
    other = apply(triple(science=noisy(250, 7) * 30 + 1000), 150, 100)

    np.testing.assert_allclose(one.pixels[0], other.pixels[0], atol=2e-4)
    spread = np.median(np.abs(one.pixels[0, 4:-4, 4:-4]))
    assert spread == pytest.approx(np.arcsinh(1 / (3 * 1.4826)), rel=0.01)


def test_the_margin_is_scaled_by_the_numbers_of_the_centre() -> None:
    science = noisy(250, 7)
    science[60:68] += 1e4  # rows of the margin only

    calm, odd = apply(triple(), 150, 100, MEDIAN), apply(triple(science=science), 150, 100, MEDIAN)

    assert_array_equal(calm.pixels[0, 4:-4, 4:-4], odd.pixels[0, 4:-4, 4:-4])
    assert calm.scales[0] == odd.scales[0]


MEDIAN = PreprocessSpec(background="median")


def test_a_sloping_sky_is_gone_with_the_mesh() -> None:
    slope = noisy(250, 1) + (0.5 * COLUMNS).astype(np.float32)
    none = PreprocessSpec(scale="none", clip=None)

    mesh = apply(triple(science=slope), 150, 100, none)
    median = apply(
        triple(science=slope), 150, 100, none.model_copy(update={"background": "median"})
    )

    assert abs(mesh.pixels[0, :, :8].mean()) < 1
    assert abs(median.pixels[0, :, :8].mean()) > 10


def test_where_the_mesh_knows_no_sky_the_stamps_own_median_is_taken() -> None:
    island = np.full((HEIGHT, WIDTH), np.nan, np.float32)
    island[90:110, 140:160] = noisy(250, 7)[90:110, 140:160]
    spec = PreprocessSpec(scale="none", clip=None)

    stamp = apply(ExposureFrames(Frame(island)), 150, 100, spec)

    assert abs(np.median(stamp.pixels[0, 26:46, 26:46])) < 1e-5


def test_a_stamp_without_its_frame_loses_its_own_median() -> None:
    small = noisy(250, 7)[:63, :63]
    spec = PreprocessSpec(scale="none", clip=None)

    stamp = apply(ExposureFrames(Frame(small, kind="stamp")), 31, 31, spec)

    assert stamp.levels[0] == 0
    assert abs(np.median(stamp.pixels[0, 5:67, 5:67])) < 0.5


@pytest.mark.parametrize(
    ("difference", "x", "y", "reason"),
    [
        pytest.param(noisy(0, 8), -1, 100, "off_image", id="left of the image"),
        pytest.param(noisy(0, 8), 150, HEIGHT, "off_image", id="above the image"),
        pytest.param(noisy(0, 8), np.nan, np.nan, "off_image", id="nowhere"),
        pytest.param(noisy(0, 8), 18, 100, "edge", id="14 of 64 columns beyond"),
        pytest.param(np.full((HEIGHT, WIDTH), np.nan), 150, 100, "no_valid_pixels", id="NaN"),
        pytest.param(np.full((HEIGHT, WIDTH), 3.0), 150, 100, "constant", id="constant"),
    ],
)
def test_a_useless_stamp_is_refused_with_its_reason(
    difference: np.ndarray, x: float, y: float, reason: str
) -> None:
    assert refusal(triple(difference=difference), x, y) == reason


def test_80_percent_on_the_image_is_enough() -> None:
    assert apply(triple(), 32 - 12, 100).flags[36, 36] == 0  # 52 of 64 columns


def test_15_valid_pixels_have_no_noise() -> None:
    difference = np.full((HEIGHT, WIDTH), np.nan)
    difference[100, 140:155] = np.arange(15)

    assert refusal(triple(difference=difference), 150, 100) == "constant"
    difference[100, 155] = 15
    assert apply(triple(difference=difference), 150, 100).scales[2] > 0


def test_a_constant_reference_is_a_missing_channel() -> None:
    stamp = apply(triple(reference=np.full((HEIGHT, WIDTH), 3.0)), 150, 100)

    assert (stamp.flags == Flag.OTHER_MISSING).all()
    assert not stamp.pixels[1].any()


def grid(dx: float = 0.0, dy: float = 0.0, **cards: Any) -> WCS:
    values = {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": 150.0,
        "CRVAL2": 20.0,
        "CRPIX1": 150.5 - dx,
        "CRPIX2": 100.5 - dy,
        "CD1_1": -1.01 / 3600,
        "CD1_2": 0.0,
        "CD2_1": 0.0,
        "CD2_2": 1.01 / 3600,
    }
    return WCS(fits.Header(values | cards))


def test_a_reference_on_another_grid_is_cut_at_the_same_sky() -> None:
    dx, dy = 17, -9
    science = Frame(NAMED, wcs=grid())
    reference = Frame(NAMED[:180, :260] * 2, wcs=grid(dx, dy))

    stamp = apply(ExposureFrames(science, reference), 120.5, 90.5, IDENTITY)

    assert stamp.pixels[0, CENTRE, CENTRE] == NAMED[91, 121]
    assert stamp.pixels[1, CENTRE, CENTRE] == 2 * NAMED[91 - dy, 121 - dx]


def test_a_reference_of_another_shape_without_a_wcs_cannot_be_placed() -> None:
    frames = ExposureFrames(Frame(NAMED), Frame(NAMED[:180]), None)

    stamp = apply(frames, 120, 90, IDENTITY)

    assert np.isnan(stamp.raw[1]).all()


def test_many_stamps_at_once_have_the_bits_of_each_alone() -> None:
    frames = triple()
    frames.science.pixels[90:95, 140:160] = np.nan
    x = np.array([150.0, 20.2, 280.0, 149.0, 151.4, 60.0, 222.2])
    y = np.array([100.0, 30.0, 180.0, 99.0, 88.8, 60.0, 150.0])

    many = AstronomicalImageProcessor().apply_many(frames, x, y)

    for index, problem in enumerate(many.problems):
        if problem is None:
            alone = apply(triple(science=frames.science.pixels), x[index], y[index])
            assert many.pixels[index].tobytes() == alone.pixels.tobytes()
            assert many.flags[index].tobytes() == alone.flags.tobytes()
    assert sum(problem is None for problem in many.problems) >= 5


def test_frames_are_never_written_to() -> None:
    frames = triple()
    before = frames.science.pixels.copy()

    apply(frames, 150, 100)

    assert_array_equal(frames.science.pixels, before)
