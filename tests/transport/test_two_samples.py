"""Two samples: halves, interval and permutation test, against solvers and simulations."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from sngan.transport import compare_samples, wasserstein


def drawn(count, dimension=3, *, shift=0.0, seed=0):
    return np.random.default_rng(seed).standard_normal((count, dimension)) + shift


def assignment(x, y):
    """W_1 of as many points in x and y, by SciPy's assignment."""
    costs = cdist(x, y)
    return costs[linear_sum_assignment(costs)].mean()


def test_the_p_value_is_that_of_a_permutation_test_by_another_solver():
    x, y = drawn(20), drawn(20, shift=0.35, seed=1)
    found = compare_samples(x, y, permutations=199, seed=3)
    pooled, random = np.concatenate([x, y]), np.random.default_rng(9)
    observed, larger = assignment(x, y), 0
    for _ in range(600):
        order = random.permutation(40)
        larger += assignment(pooled[order[:20]], pooled[order[20:]]) >= observed
    expected = (1 + larger) / 601
    assert found.permutations == 199
    assert found.p_value == pytest.approx(expected, abs=4 * (expected / 199) ** 0.5 + 0.01)
    assert float(found.p_value * 200).is_integer()


def test_the_halves_are_as_far_apart_as_new_samples_of_their_size():
    x, y = drawn(120), drawn(90, shift=1.0, seed=1)
    found = compare_samples(x, y, permutations=0)
    assert (found.half, found.splits, found.p_value) == (45, 20, None)
    random = np.random.default_rng(5)

    def mean_of_new(shift):
        pairs = (
            (random.standard_normal((45, 3)), random.standard_normal((45, 3)) + shift)
            for _ in range(60)
        )
        return np.mean([assignment(*pair) for pair in pairs])

    same, apart = mean_of_new(0.0), mean_of_new(1.0)
    assert found.within_x == pytest.approx(same, rel=0.1)
    assert found.within_y == pytest.approx(same, rel=0.1)
    assert found.between == pytest.approx(apart, rel=0.1)
    assert found.within_x < found.between


def test_copies_of_a_sample_have_no_distance_and_no_difference():
    x = drawn(30)
    found = compare_samples(x, x, permutations=19)
    assert found.p_value == 1
    assert found.interval.low == 0


def test_the_same_seed_gives_the_same_result_and_magnitudes_do_not_matter():
    x, y = drawn(24), drawn(24, shift=0.5, seed=1)
    found = compare_samples(x, y, permutations=39, seed=4)
    assert compare_samples(x, y, permutations=39, seed=4) == found
    assert compare_samples(x, y, permutations=39, seed=5) != found
    for scale in (2.0**500, 2.0**-500):
        scaled = compare_samples(x * scale, y * scale, permutations=39, seed=4)
        assert scaled.p_value == found.p_value
        assert scaled.between / scale == pytest.approx(found.between, rel=1e-12)


def test_points_on_a_line_and_too_few_points():
    x, y = drawn(50, 1), drawn(41, 1, shift=3.0, seed=1)
    found = compare_samples(x, y)
    w1 = wasserstein(x, y).distance
    assert found.interval.low < w1 < found.interval.high
    assert sum(found.interval) / 2 == pytest.approx(w1, rel=1e-12)
    assert found.p_value == 0.005
    single = compare_samples([[0.0, 1.0]], [[1.0, 1.0]], permutations=19)
    assert (single.splits, single.between, single.interval, single.p_value) == (0, None, None, 1)


def test_the_number_of_tested_points_follows_the_time_and_progress_is_told(monkeypatch):
    clock = iter(np.arange(0, 1e6, 2.0))
    monkeypatch.setattr("sngan.transport.two_samples.time.process_time", lambda: next(clock))
    seen = []
    x, y = drawn(200), drawn(120, seed=1)
    # a solve takes 2 s by this clock, and so 199 permutations 398 s
    for seconds in (400, 397, 78, 1):
        found = compare_samples(x, y, seconds=seconds, progress=lambda *at: seen.append(at))
        assert found.permutations == 199
        assert found.splits == min(20, 5 + int(seconds / 2) // 2)
        share = min(1.0, (seconds / 398) ** 0.4)
        assert found.tested == (max(int(share * 200), 50), max(int(share * 120), 50))
    assert seen[0] == (1, 219)
    all_points = compare_samples(x, y, seconds=1, permutations=19)
    assert (all_points.tested, all_points.permutations) == ((200, 120), 19)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"permutations": -1}, "permutations: expected an integer of at least 0, got -1"),
        ({"permutations": 1.5}, "permutations: expected an integer of at least 0, got 1.5"),
        ({"seed": -1}, "seed: expected an integer of at least 0, got -1"),
        ({"y": np.zeros((3, 2))}, "y: expected points of dimension 3, as x, got dimension 2"),
        ({"y": np.full((3, 3), np.nan)}, "y: expected"),
    ],
)
def test_bad_input_is_one_line(options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        compare_samples(**{"x": drawn(5), "y": drawn(5), **options})


@pytest.mark.slow
def test_p_values_of_parts_of_the_samples_are_uniform(monkeypatch):
    """200 pairs whose time suffices for parts alone."""
    clock = iter(np.arange(0, 1e9, 2.0))
    monkeypatch.setattr("sngan.transport.two_samples.time.process_time", lambda: next(clock))
    values = []
    for seed in range(200):
        x, y = drawn(60, 2, seed=2 * seed), drawn(70, 2, seed=2 * seed + 1)
        found = compare_samples(x, y, seconds=1.0, seed=seed)
        assert found.tested == (50, 50)
        values.append(found.p_value)
    # three deviations of a share of 200
    assert 0.036 < np.mean(np.array(values) <= 0.1) < 0.164


@pytest.mark.slow
def test_p_values_are_uniform_if_both_have_one_distribution():
    """400 pairs of samples of one distribution, of unequal numbers."""
    values = []
    for seed in range(400):
        x, y = drawn(20, 2, seed=2 * seed), drawn(14, 2, seed=2 * seed + 1)
        values.append(compare_samples(x, y, permutations=19, seed=seed).p_value)
    counts = np.bincount(np.rint(np.array(values) * 20).astype(int), minlength=21)[1:]
    assert counts.sum() == 400
    assert stats.chisquare(counts).pvalue > 0.001
    assert 0.02 < np.mean(np.array(values) <= 0.05) < 0.09


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m", "dimension"), [(40, 40, 2), (60, 30, 8)])
def test_intervals_cover_the_distance_of_other_samples_as_often_as_they_say(n, m, dimension):
    """The mean W_1 of samples of two different Gaussians lies in 95 % of the intervals."""

    def pair(seed):
        return drawn(n, dimension, seed=seed), drawn(m, dimension, shift=0.7, seed=seed + 10**6)

    expected = np.mean([wasserstein(*pair(seed)).distance for seed in range(10_000, 11_000)])
    hits = []
    for seed in range(250):
        low, high = compare_samples(*pair(seed), permutations=0, seed=seed).interval
        hits.append(low <= expected <= high)
    assert 0.9 <= np.mean(hits) <= 0.995
