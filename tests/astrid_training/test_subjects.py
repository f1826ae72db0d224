"""Two model runs over one observation see the same things, not twice as many."""

from collections.abc import Sequence

import numpy as np

from astrid_training.subjects import join_detections

ARCSEC = 1 / 3600


def join(
    observation: Sequence[int], ra: Sequence[float], dec: Sequence[float], fwhm: float = 2.0
) -> list[int]:
    n = len(ra)
    labels = join_detections(
        np.array(observation),
        np.array(ra),
        np.array(dec),
        np.full(n, fwhm),
        np.full(n, 1.0),
    )
    return [int(label) for label in labels]


def test_near_detections_of_one_observation_are_one_subject() -> None:
    assert join([0, 0, 0], [10, 10, 10], [0, 0.9 * ARCSEC, 9 * ARCSEC]) == [0, 0, 1]


def test_the_same_place_in_two_observations_is_two_subjects() -> None:
    assert join([0, 1], [10, 10], [0, 0]) == [0, 1]


def test_the_link_radius_follows_the_seeing() -> None:
    assert join([0, 0], [10, 10], [0, 1.8 * ARCSEC], fwhm=2.0) == [0, 1]
    assert join([0, 0], [10, 10], [0, 1.8 * ARCSEC], fwhm=4.0) == [0, 0]


def test_a_chain_does_not_grow_beyond_the_cap() -> None:
    dec = [n * 0.9 * ARCSEC for n in range(6)]

    labels = join([0] * 6, [10] * 6, dec)

    for subject in set(labels):
        members = [dec[i] for i, label in enumerate(labels) if label == subject]
        assert max(members) - min(members) <= 1.5 * 2.0 * ARCSEC * 1.0001
    assert len(set(labels)) > 1


def test_detections_across_ra_zero_are_joined() -> None:
    assert join([0, 0], [360 - 0.2 * ARCSEC, 0.2 * ARCSEC], [0, 0]) == [0, 0]
