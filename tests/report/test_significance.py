"""Significance of differences: Welch's test against SciPy, Holm's correction by its property."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from sngan.report.significance import LEVEL, differences

DRAWS = np.random.default_rng(0)


@pytest.mark.parametrize("sizes", [(2, 2), (3, 5), (10, 4)])
def test_a_single_pair_is_welchs_test(sizes):
    x, y = (DRAWS.normal(k, 1 + k, size).tolist() for k, size in enumerate(sizes))
    (found,) = differences({("a", "own"): x, ("b", "own"): y}, higher_is_better=True)
    expected = stats.ttest_ind(x, y, equal_var=False)
    interval = expected.confidence_interval()
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found.difference == pytest.approx(np.mean(x) - np.mean(y))


def test_many_pairs_are_corrected_by_holms_method():
    values = {(name, "own"): DRAWS.normal(k / 3, 1, 6).tolist() for k, name in enumerate("abcd")}
    found = differences(values, higher_is_better=False)
    raw = [
        stats.ttest_ind(values[one, "own"], values[other, "own"], equal_var=False).pvalue
        for one, other in combinations("abcd", 2)
    ]
    # the definition: p_(k) becomes the largest of (m - j) p_(j) for j up to k
    ordered = sorted(raw)
    stepped = [
        min(1.0, max((len(raw) - j) * ordered[j] for j in range(k + 1))) for k in range(len(raw))
    ]
    expected = [stepped[ordered.index(p)] for p in raw]
    assert [one.p for one in found] == pytest.approx(expected, rel=1e-9)


def test_methods_that_are_equal_are_seldom_called_different():
    wrong = 0
    for _ in range(400):
        values = {(name, "own"): DRAWS.normal(0, 1, 4).tolist() for name in "abc"}
        wrong += any(one.better for one in differences(values, higher_is_better=True))
    # 5 % of 400 are 20, with a standard deviation of 4.4
    assert wrong <= 20 + 4 * 4.4


@pytest.mark.parametrize("higher", [True, False])
def test_a_large_difference_names_the_better_method(higher):
    values = {("a", "own"): [1.0, 1.1, 0.9, 1.05], ("b", "own"): [5.0, 5.2, 4.9, 5.1]}
    (found,) = differences(values, higher_is_better=higher)
    assert found.p < LEVEL
    assert found.better == ("b" if higher else "a")
    assert found.verdict == f"{found.better} is better"


@pytest.mark.parametrize(
    ("x", "y"), [([1.0], [2.0, 3.0]), ([1.0], [2.0]), ([8.0, 8.0, 8.0], [7.0, 7.0, 7.0])]
)
def test_too_few_seeds_decide_nothing(x, y):
    (found,) = differences({("a", "own"): x, ("b", "own"): y}, higher_is_better=True)
    assert (found.p, found.better, found.low) == (None, None, None)
    assert found.verdict == "cannot be tested with these seeds"


def test_only_methods_of_one_setting_are_compared():
    values = {(name, setting): [1.0, 2.0] for name in "ab" for setting in "AB"}
    found = differences(values, higher_is_better=True)
    assert [(one.setting, one.left, one.right) for one in found] == [
        ("A", "a", "b"),
        ("B", "a", "b"),
    ]
