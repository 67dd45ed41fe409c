"""The bracket of a distance at every magnitude, against sums of 60 digits."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.clouds import clouds
from helpers.decimals import decimal_to_one_point, decimal_wasserstein
from helpers.examples import examples
from sngan.transport import (
    dual_linear_program,
    entropic_wasserstein,
    explain,
    minibatch_wasserstein,
    sliced_wasserstein,
    wasserstein,
)

powers = st.sampled_from([1, 2, 1.5, 3])
signed = st.floats(0.1, 1).flatmap(lambda size: st.sampled_from([size, -size]))
# coordinates of one magnitude, of two magnitudes far apart, or of any
exponents = st.one_of(
    st.integers(-300, 300).map(lambda e: st.just(e)),
    st.lists(st.integers(-300, 300), min_size=2, max_size=2).map(st.sampled_from),
    st.just(st.integers(-300, 300)),
)


@st.composite
def coordinates(draw, exponent):
    if draw(st.integers(0, 9)) == 0:
        return 0.0
    return draw(signed) * 10.0 ** draw(exponent)


@st.composite
def pairs(draw):
    """Two clouds of equally many points; half of the time some are shared or repeated."""
    exponent = draw(exponents)
    count, dimension = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    points = [[draw(coordinates(exponent)) for _ in range(dimension)] for _ in range(2 * count)]
    x, y = np.array(points[:count]), np.array(points[count:])
    if draw(st.booleans()):
        y[0] = x[draw(st.integers(0, count - 1))]
    if draw(st.booleans()):
        x[-1] = x[0]
    return x, y


def truth_overflows(x, y, p):
    apart = [decimal_wasserstein(one[None], other[None], 1) for one in x for other in y]
    return max(apart) ** Decimal(p) > Decimal(np.finfo(float).max)


def check_bracket(truth, x, y, p, **weights):
    """Check that the bracket holds the truth, and that ``optimal`` keeps its promise."""
    if truth_overflows(x, y, p):
        with pytest.raises(ValueError, match="an overflow: divide both by a constant"):
            wasserstein(x, y, p, **weights)
        return None
    result = wasserstein(x, y, p, **weights)
    assert 0 <= result.lower <= result.distance <= result.upper
    # a bound below the smallest number is rounded to the smallest
    assert Decimal(result.lower) <= truth <= Decimal(result.upper)
    assert result.gap >= 0
    plan = result.plan.toarray()
    assert plan.min() >= 0
    assert np.isfinite(result.potential_x).all()
    assert np.isfinite(result.potential_y).all()
    if result.optimal:
        assert abs(Decimal(result.distance) - truth) <= Decimal("1e-9") * truth
    return result


@settings(max_examples=examples(120), deadline=None, derandomize=True)
@given(pairs(), powers)
def test_the_bracket_holds_at_every_magnitude(case, p):
    check_bracket(decimal_wasserstein(*case, p), *case, p)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(pairs(), powers)
def test_thousands_of_brackets_hold_at_every_magnitude(case, p):
    check_bracket(decimal_wasserstein(*case, p), *case, p)


@st.composite
def weighted(draw):
    """Up to four points with weights of any magnitude, and the one point that they move to."""
    x, y = draw(pairs())
    weights = [10.0 ** draw(st.integers(-300, -1)) for _ in x[1:]]
    return x, y[:1], [1 - sum(weights), *weights]


@settings(max_examples=examples(80), deadline=None, derandomize=True)
@given(weighted(), powers)
def test_the_bracket_holds_for_weights_of_every_magnitude(case, p):
    x, y, weights = case
    truth = decimal_to_one_point(x, y, weights, p)
    for named in ({"weights_x": weights}, {"weights_y": weights}):
        left, right = (x, y) if "weights_x" in named else (y, x)
        check_bracket(truth, left, right, p, **named)


@settings(max_examples=examples(40), deadline=None, derandomize=True)
@given(pairs(), powers, st.permutations([1, 2, 3]))
def test_the_bracket_holds_for_uneven_weights_on_both_sides(case, p, counts):
    x, y = (np.resize(part, (3, part.shape[1])) for part in case)
    truth = decimal_wasserstein(np.repeat(x, [1, 2, 3], 0), np.repeat(y, counts, 0), p)
    weights = {"weights_x": np.array([1, 2, 3]) / 6, "weights_y": np.array(counts) / 6}
    if truth_overflows(x, y, p):
        return
    result = wasserstein(x, y, p, **weights)
    # the floats nearest to 1/6, 1/3 and 1/2 are other weights, by one rounding
    moved = max(decimal_wasserstein(one[None], two[None], 1) for one in x for two in y)
    room = (truth ** Decimal(p) + Decimal("1e-15") * moved ** Decimal(p)) ** (1 / Decimal(p))
    assert Decimal(result.lower) <= room
    assert Decimal(result.upper) >= 2 * truth - room


@pytest.mark.parametrize("p", [1, 2, 3.5])
@pytest.mark.parametrize("dimension", [1, 2])
@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-160, 1e-20, 1e80])
def test_one_magnitude_is_solved_as_well_as_another(p, dimension, scale):
    x, y = clouds(5, 5, dimension)
    result = check_bracket(decimal_wasserstein(x * scale, y * scale, p), x * scale, y * scale, p)
    assert result.optimal
    assert result.upper <= result.lower * (1 + 1e-9)


@pytest.mark.parametrize("p", [1, 2, 1.5])
@pytest.mark.parametrize("far", [1e8, 1e15, 1e25, 1e90])
def test_a_far_point_of_each_cloud_does_not_drown_the_others(p, far):
    x, y = (np.append(part, [[far, 0]], axis=0) for part in clouds(6, 6, 2))
    result = check_bracket(decimal_wasserstein(x, y, p), x, y, p)
    assert result.optimal


def test_a_far_point_of_little_weight_counts():
    weights = [1 - 1e-20, 1e-20]
    for x, y in (([0.0, 1e25], [0.0]), ([[0.0, 0.0], [0.0, 1e25]], [[0.0, 0.0]])):
        result = wasserstein(x, y, weights_x=weights)
        assert result.distance == pytest.approx(1e5, rel=1e-12)
        assert result.lower <= 1e5 <= result.upper
        assert result.optimal


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-160, 1e100, 1e160, 1e300])
def test_estimates_follow_the_unit_of_length(scale):
    x, y = clouds(60, 50, 3)
    for p in (1, 2, 4):
        here, there = (sliced_wasserstein(s * x, s * y, p=p) for s in (1.0, scale))
        for name in ("distance", "standard_error", "lower"):
            assert getattr(there, name) == pytest.approx(scale * getattr(here, name), rel=1e-11)
    if scale < 1e200:
        here, there = (dual_linear_program(s * x, s * y) for s in (1.0, scale))
        for name in ("primal", "dual", "critic"):
            assert getattr(there, name) == pytest.approx(scale * getattr(here, name), rel=1e-6)
    options = {"batch_size": 10, "batches": 4}
    here, there = (minibatch_wasserstein(s * x, s * y, **options) for s in (1.0, scale))
    assert there.distance == pytest.approx(scale * here.distance, rel=1e-11)
    here, there = (
        entropic_wasserstein(s * x, s * y, regularization=0.01 * s) for s in (1.0, scale)
    )
    assert there.distance == pytest.approx(scale * here.distance, rel=1e-9)
    assert there.lower == pytest.approx(scale * here.lower, rel=1e-9)


def test_a_sliced_bound_stays_below_a_far_pair():
    x, y = (np.append(part, [[1e15, 0]], axis=0) for part in clouds(6, 6, 2))
    assert sliced_wasserstein(x, y).lower <= wasserstein(x, y).lower


def test_equal_clouds_of_any_size_are_at_distance_zero():
    for scale in (1e-310, 1e-103, 1e-20, 1e100):
        for p in (1, 2, 3):
            x = scale * np.array([1.0, 0.0, 3.0])
            for part in (x, np.stack([x, -x], axis=1)):
                result = wasserstein(part, part[::-1], p)
                assert (result.lower, result.distance, result.upper, result.gap) == (0, 0, 0, 0)
                assert result.optimal


def test_a_table_of_small_moves():
    assert "1e-200" in explain([0.0], [1e-200])
