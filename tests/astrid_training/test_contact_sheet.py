"""Pictures show the pixels the network sees, upright, with the mask drawn round its target."""

import io
from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from astrid_training.contact_sheet import (
    BOGUS_COLOUR,
    GAP,
    IGNORE_COLOUR,
    TARGET_COLOUR,
    ZOOM,
    choose,
    draw,
    pictures,
)
from astrid_training.packs import PackCache
from astrid_training.params import PreprocessSpec

SIDE = 16
CHANNELS = ("science", "reference", "difference")


def _panels(png: bytes) -> list[NDArray[np.uint8]]:
    """Return the picture's channels, (y, x, 3), row 0 at the bottom."""
    whole = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))[::-1, :, :3]
    step = SIDE * ZOOM + GAP
    return [whole[:, start : start + SIDE * ZOOM] for start in range(0, whole.shape[1], step)]


def _has(panel: NDArray[np.uint8], colour: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (panel == list(bytes.fromhex(colour[1:]))).all(axis=-1)
    return found


def test_channels_stand_side_by_side_with_row_0_below() -> None:
    image = np.zeros((3, SIDE, SIDE), np.float32)
    for number in range(3):
        image[number, 2, 5 + number] = 10  # near the bottom, further right in each channel
    mask = np.zeros((SIDE, SIDE), np.uint8)

    panels = _panels(draw(image, mask, CHANNELS, asinh=True))

    assert len(panels) == 3
    for number, panel in enumerate(panels):
        bright = np.argwhere(panel[..., 0] == 255) // ZOOM
        assert {tuple(place) for place in bright.tolist()} == {(2, 5 + number)}


@pytest.mark.parametrize(("code", "colour"), [(1, TARGET_COLOUR), (2, BOGUS_COLOUR)])
def test_the_outline_runs_round_the_area_and_leaves_it_open(code: int, colour: str) -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[6:9, 4:10] = code

    panels = _panels(draw(np.zeros((3, SIDE, SIDE), np.float32), mask, CHANNELS, asinh=True))

    line = _has(panels[2], colour)
    assert not _has(panels[0], colour).any()
    assert not line[6 * ZOOM : 9 * ZOOM, 4 * ZOOM : 10 * ZOOM].any()
    assert line[6 * ZOOM - 1, 4 * ZOOM : 10 * ZOOM].all()
    assert line[6 * ZOOM : 9 * ZOOM, 10 * ZOOM].all()
    assert not line[: 6 * ZOOM - 2].any()


def test_ignored_pixels_are_striped_and_still_seen() -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, :4] = 255

    striped = _has(
        _panels(draw(np.zeros((3, SIDE, SIDE), np.float32), mask, CHANNELS, asinh=True))[2],
        IGNORE_COLOUR,
    )

    assert 0.2 < striped[:, : 4 * ZOOM].mean() < 0.5
    assert not striped[:, 4 * ZOOM :].any()


def test_an_unchanged_difference_is_mid_grey_and_a_fading_is_dark() -> None:
    image = np.zeros((3, SIDE, SIDE), np.float32)
    image[2, 0, 0] = -10

    difference = _panels(draw(image, np.zeros((SIDE, SIDE), np.uint8), CHANNELS, asinh=True))[2]

    assert difference[-1, -1, 0] == 128
    assert difference[0, 0, 0] == 0


def test_pixels_in_survey_units_are_shown_in_their_own_range() -> None:
    image = np.random.default_rng(1).normal(1000, 50, (3, SIDE, SIDE)).astype(np.float32)
    mask = np.zeros((SIDE, SIDE), np.uint8)

    science = _panels(draw(image, mask, CHANNELS, asinh=False))[0]

    assert (science.min(), science.max()) == (0, 255)
    assert 20 < science.std() < 100


def test_the_first_keys_of_each_class_and_split_are_chosen(published: Any) -> None:
    chosen = choose(published.samples, 2).to_pylist()

    groups = Counter((row["anomaly_type"], row["split"]) for row in chosen)
    assert set(groups.values()) <= {1, 2}
    assert len(groups) == 6 * 3 + 1  # and the quarantined one
    for row in chosen:
        same = [
            other["sample_key"]
            for other in published.samples.to_pylist()
            if (other["anomaly_type"], other["split"]) == (row["anomaly_type"], row["split"])
        ]
        assert row["sample_key"] in sorted(same)[:2]
    assert [row["is_anomaly"] for row in chosen] == sorted(
        (row["is_anomaly"] for row in chosen), reverse=True
    )


def test_a_picture_shows_the_samples_own_pixels(published: Any, tmp_path: Any) -> None:
    chosen = choose(published.samples, 1)
    packs = PackCache(published.store, tmp_path)

    stamp = pictures(chosen, packs, PreprocessSpec())[5]

    number = published.samples["sample_key"].to_pylist().index(stamp.sample_key)
    inner = slice(4, 68)
    expected = draw(
        published.images[number][:, inner, inner],
        published.masks[number][inner, inner],
        CHANNELS,
        asinh=True,
    )
    assert stamp.png == expected
    assert stamp.name == chosen["anomaly_type"][5].as_py()
