"""Chance alarms as often as the law says: measured by drawing sets that do not differ."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from astrid_training.null_law import adjusted, chance_psi, judge, stability_index
from astrid_training.side_by_side import value_bins

FOLKLORE = 0.1
SIZES = [(100, 100), (100, 1000), (1000, 100), (1000, 1000), (10_000, 300)]
Codes = NDArray[np.int64]


def bounds(rounds: int, around: float = 0.02) -> tuple[float, float]:
    """Where the share of false alarms lies in all but one of 10,000 repetitions, at a true rate of
    5 % and what the law may be off."""
    low, high = (float(stats.binom.ppf(q, rounds, 0.05)) for q in (5e-5, 1 - 5e-5))
    return low / rounds - around, high / rounds + around


def alone(count: int, first: int = 0) -> Codes:
    """Each sample is a cluster of its own."""
    return np.arange(first, first + count)


def rates(n: int, m: int, rounds: int) -> tuple[float, float, float]:
    """How often the index passes the law, the judge calls it significant, and 0.1 is passed."""
    rng = np.random.default_rng([n, m])
    alarms = np.zeros(3)
    for _ in range(rounds):
        before, after = value_bins(rng.normal(size=n), rng.normal(size=m), 10)
        bins = int(before.max()) + 1
        judged = judge(before, after, bins, [(alone(n), alone(m, n))])
        assert judged is not None
        alarms += [
            judged.psi > chance_psi(n, m, bins),
            judged.p_value < 0.05,
            judged.psi > FOLKLORE,
        ]
    law, judge_, folklore = alarms / rounds
    return float(law), float(judge_), float(folklore)


def check_rates(n: int, m: int, rounds: int) -> float:
    low, high = bounds(rounds)
    law, judged, folklore = rates(n, m, rounds)
    assert low <= law <= high
    assert low <= judged <= high
    return folklore


def test_a_hundred_samples_pass_the_folklore_cut_three_times_in_four_without_any_drift() -> None:
    assert check_rates(100, 100, 400) > 0.7


def test_a_thousand_samples_hardly_ever_do() -> None:
    assert check_rates(1000, 300, 200) < 0.2


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), [*SIZES, (10_000, 10_000), (3000, 10_000)])
def test_false_alarms_are_one_in_twenty_at_any_size(n: int, m: int) -> None:
    check_rates(n, m, 1000)


def exposures(count: int, each: int, first: int = 0) -> Codes:
    return np.repeat(alone(count, first), each)


def clustered_rates(n: int, m: int, each: int, rounds: int) -> tuple[float, float]:
    """How often samples of n and m exposures, which share their values, alarm the plain law and us."""
    rng = np.random.default_rng([n, m, each])
    alarms = np.zeros(2)
    clusters = (exposures(n, each), exposures(m, each, n))
    for _ in range(rounds):
        values = (np.repeat(rng.normal(size=n), each), np.repeat(rng.normal(size=m), each))
        bins = min(10, (n + m) // 10)
        before, after = value_bins(*values, bins)
        judged = judge(before, after, bins, [clusters])
        assert judged is not None
        assert judged.independent == pytest.approx(4 / (1 / n + 1 / m), rel=0.5)
        alarms += [judged.psi > chance_psi(n * each, m * each, bins), judged.p_value < 0.05]
    plain, ours = alarms / rounds
    return float(plain), float(ours)


def test_samples_of_one_exposure_are_not_counted_as_independent() -> None:
    plain, ours = clustered_rates(40, 40, 20, 300)

    assert plain > 0.9
    assert ours <= bounds(300)[1]


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), [(20, 20), (45, 45), (100, 100), (60, 30), (30, 100)])
def test_false_alarms_of_clustered_samples_are_one_in_twenty(n: int, m: int) -> None:
    assert clustered_rates(n, m, 20, 2000)[1] <= bounds(2000)[1]


def overlapping_rate(shared: int, added: int, rounds: int) -> tuple[float, float]:
    rng = np.random.default_rng([shared, added])
    alarms, worth = 0, 0.0
    clusters = (alone(shared), alone(shared + added))
    for _ in range(rounds):
        values = rng.normal(size=shared + added)
        before, after = value_bins(values[:shared], values, 10)
        judged = judge(before, after, 10, [clusters])
        assert judged is not None
        alarms += judged.p_value < 0.05
        worth = judged.independent
    return alarms / rounds, worth


def test_of_a_set_that_grew_only_the_new_samples_count() -> None:
    rate, worth = overlapping_rate(1000, 150, 300)

    low, high = bounds(300)
    assert max(low, 0.005) <= rate <= high  # never, by the law of independent sets
    assert 150 < worth < 210


def test_nothing_differs_where_all_samples_are_the_same() -> None:
    bins = np.array([0, 1, 1, 2])

    assert judge(bins, bins, 3, [(alone(4), alone(4))]) is None


def test_the_wider_of_two_kinds_of_clusters_counts() -> None:
    rng = np.random.default_rng(5)
    before, after = rng.integers(0, 4, 400), rng.integers(0, 4, 400)
    before, after = np.repeat(before[:20], 20), np.repeat(after[:20], 20)
    single, wide = (alone(400), alone(400, 400)), (exposures(20, 20), exposures(20, 20, 20))

    both = judge(before, after, 4, [single, wide])

    assert both == judge(before, after, 4, [wide])
    assert both != judge(before, after, 4, [single])


def test_a_shift_of_a_quarter_sigma_is_found_among_a_thousand() -> None:
    rng = np.random.default_rng(7)
    found = 0
    for _ in range(100):
        before, after = value_bins(rng.normal(size=1000), rng.normal(0.25, 1, 1000), 10)
        judged = judge(before, after, 10, [(alone(1000), alone(1000, 1000))])
        found += judged is not None and judged.p_value < 0.01
    assert found >= 90


def test_the_index_is_what_its_name_says() -> None:
    n, m = np.array([500, 500]), np.array([400, 600])

    assert stability_index(n, m) == pytest.approx(0.1 * np.log(1.5), rel=0.01)
    assert stability_index(n, n) == 0


def test_many_tests_are_corrected_as_benjamini_and_hochberg_say() -> None:
    p_values = np.array([0.01, 0.04, 0.03, 0.5])

    assert adjusted(p_values) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert adjusted(p_values) == pytest.approx(stats.false_discovery_control(p_values))
    assert adjusted(np.array([])).size == 0
