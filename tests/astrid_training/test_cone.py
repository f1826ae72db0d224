"""A circle on the sky is a circle everywhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrid_training.cone import cone_box, inside_cone
from astrid_training.params import Cone


@settings(deadline=None)  # on a busy machine any time can pass
@given(
    st.floats(0, 359.999),
    st.floats(-90, 90),
    st.floats(0.001, 60),
    st.integers(0, 2**32 - 1),
)
def test_the_box_holds_every_position_of_the_cone(
    ra: float, dec: float, radius: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    cone = Cone(ra_deg=ra, dec_deg=dec, radius_deg=radius)
    ras = np.concatenate([rng.uniform(0, 360, 300), (ra + rng.normal(0, radius, 300)) % 360])
    decs = np.concatenate(
        [np.degrees(np.arcsin(rng.uniform(-1, 1, 300))), dec + rng.normal(0, radius / 2, 300)]
    )
    decs = np.clip(decs, -90, 90)
    inside = inside_cone(cone, ras, decs)
    box = cone_box(cone)

    within = (decs >= box["dec_from"]) & (decs <= box["dec_to"])
    if box["ra_from"] <= box["ra_to"]:
        within &= (ras >= box["ra_from"]) & (ras <= box["ra_to"])
    else:
        within &= (ras >= box["ra_from"]) | (ras <= box["ra_to"])
    assert within[inside].all()


@pytest.mark.parametrize(
    ("cone", "position", "inside"),
    [
        ((0.1, 0, 0.5), (359.7, 0), True),  # across RA 0
        ((359.9, 0, 0.5), (0.3, 0), True),
        ((0, 89.9, 0.3), (180, 89.9), True),  # over the pole
        ((0, 89.9, 0.15), (180, 89.9), False),
        ((10, -90, 1), (250, -89.5), True),
        ((10, 60, 1), (11.9, 60), True),  # a degree of RA is half a degree there
        ((10, 60, 1), (12.1, 60), False),
        ((10, 0, 180), (190, 0), True),  # the whole sky
    ],
)
def test_positions_in_and_out(
    cone: tuple[float, float, float], position: tuple[float, float], *, inside: bool
) -> None:
    circle = Cone(ra_deg=cone[0], dec_deg=cone[1], radius_deg=cone[2])

    found = inside_cone(circle, np.array([position[0]]), np.array([position[1]]))

    assert found.tolist() == [inside]


def test_without_a_cone_everything_is_inside() -> None:
    assert inside_cone(None, np.array([10.0, 200.0]), np.array([-90.0, 90.0])).all()
    assert cone_box(None) == {"dec_from": -90, "dec_to": 90, "ra_from": 0, "ra_to": 360}
