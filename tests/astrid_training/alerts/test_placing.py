from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from astrid_training.alerts import AlertRefusedError
from astrid_training.alerts.placing import place_on_cutout
from astrid_training.alerts.surveys import parse_alert

HEIGHT, WIDTH, SIDE, HALF = 3080, 3072, 63, 31


def cut(frame_x: float, frame_y: float) -> tuple[int, int]:
    """Return the shape of a cutout as the survey makes it, from 0-based positions."""
    shape = []
    for at, size in ((frame_y, HEIGHT), (frame_x, WIDTH)):
        pixels = np.arange(round(at) - HALF, round(at) + HALF + 1)
        shape.append(int(((pixels >= 0) & (pixels < size)).sum()))
    return shape[0], shape[1]


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (1500.2, 1500.7, (31, 31)),
        (7.4, 1500, (7, 31)),  # cut on the left: everything moves towards the first column
        (3066, 1500, (31, 31)),  # cut on the right: the middle stays
        (1500, 12.6, (31, 13)),
        (1500, 3079, (31, 31)),
        (0, 0, (0, 0)),
        (30, 31, (30, 31)),
        (31, 30, (31, 30)),
    ],
)
def test_a_cutout_that_the_edge_cut_holds_the_detection_off_its_middle(
    made: Any, x: float, y: float, expected: tuple[int, int]
) -> None:
    alert = replace(parse_alert(made.ztf_record()), x=x, y=y)

    assert place_on_cutout(alert, cut(x, y)) == expected


@pytest.mark.parametrize(
    ("x", "shape"),
    [(None, (63, 40)), (1500.0, (63, 40)), (7.0, (63, 40))],
    ids=["position not told", "far from any edge", "another size than the edge leaves"],
)
def test_what_the_edge_does_not_explain_is_refused(
    made: Any, x: float | None, shape: tuple[int, int]
) -> None:
    alert = replace(parse_alert(made.ztf_record()), x=x)

    with pytest.raises(AlertRefusedError, match="cut_short"):
        place_on_cutout(alert, shape)


@pytest.mark.parametrize(("side", "middle"), [(30, 15), (31, 15), (61, 30), (81, 40)])
def test_where_cutouts_have_no_one_size_the_middle_is_taken(
    made: Any, side: int, middle: int
) -> None:
    alert = parse_alert(made.rubin_record())

    assert place_on_cutout(alert, (side, side)) == (middle, middle)
