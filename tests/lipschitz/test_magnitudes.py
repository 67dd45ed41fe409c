"""Bounds of networks with very large or small weights, whose exact constants are known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.examples import examples
from helpers.networks import Fn, quick, relu_network, upper
from sngan.lipschitz import lipschitz_bounds
from sngan.lipschitz.rounding import hypot_up, ldexp_up, multiply_up

EXPONENTS = st.integers(-1000, 1000)


def scaled(exponents):
    """The map ``x ↦ 2^(Σ exponents)·x``, with one layer for each exponent."""
    return Fn(lambda x: [x := x * 2.0**exponent for exponent in exponents][-1])


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(EXPONENTS, min_size=1, max_size=5))
def test_no_product_of_scales_is_above_its_bound(exponents):
    found = upper(scaled(exponents), (3,))
    total = sum(exponents)
    assert found > 0.0
    # the bound may only be loose where a partial product overflows or underflows
    assert found == math.inf or math.frexp(found)[1] > total
    if all(-960 < sum(exponents[:n]) < 1000 for n in range(1, len(exponents) + 1)):
        assert found == pytest.approx(2.0**total, rel=1e-12)


@pytest.mark.parametrize("exponents", [(990, -990, -90), (-600, -600, 900, 900, -600, -600)])
def test_products_that_underflow_on_the_way_are_bounded(exponents):
    # gradients computed from either end would underflow to 0
    network = nn.Sequential(scaled(exponents), nn.Tanh(), nn.Linear(3, 3, bias=False))
    nn.init.eye_(network[2].weight)
    for slopes in ("product", "eclipse"):
        found = lipschitz_bounds(network, (3,), slopes=slopes, lower=False).upper
        assert found >= 2.0 ** sum(exponents) > 0.0


SCALES = [(-660, -660, 990), (660, -660, 0), (-530, -530, 0)]


@pytest.mark.parametrize(
    ("slopes", "exponents"),
    [
        # the search begins with the closed form, and takes a second
        pytest.param(slopes, scales, marks=[pytest.mark.slow] * (slopes == "sdp" and place > 0))
        for slopes in ("product", "eclipse", "sdp")
        for place, scales in enumerate(SCALES)
    ],
)
def test_scaled_layers_scale_the_bound(slopes, exponents):
    plain = relu_network((3, 4, 4, 2), 0.1)
    constant = lipschitz_bounds(plain, (3,), slopes=slopes, lower=False).upper
    layers = [layer for layer in plain if isinstance(layer, nn.Linear)]
    for layer, exponent in zip(layers, exponents, strict=True):
        layer.weight.data *= 2.0**exponent
        layer.bias.data.zero_()
    found = lipschitz_bounds(plain, (3,), slopes=slopes, lower=False).upper
    assert found >= math.ldexp(constant * (1 - 1e-6), sum(exponents)) > 0.0


@pytest.mark.parametrize("size", [1e-200, 1e-160, 1e160, 1e200])
def test_branches_of_any_size_are_concatenated(size):
    bounds = quick(Fn(lambda x: torch.cat([x * size, x * size], 1)), (4,))
    assert bounds.upper == pytest.approx(math.sqrt(2) * size)


@pytest.mark.parametrize("size", [1e-180, 1e-160, 1e160, 1e200])
def test_slopes_of_any_size_are_found(size):
    network = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    plain = quick(network, (3,)).lower
    for parameter in network[2].parameters():
        parameter.data *= size
    assert 0.5 * plain * size < quick(network, (3,)).lower < 2 * plain * size


@given(EXPONENTS, EXPONENTS, st.integers(-3000, 3000))
def test_the_arithmetic_of_bounds_rounds_up(one, two, three):
    # exponents of powers of two stay exact where their products underflow
    left, right = 2.0**one, 2.0**two
    for found, exact in (
        (multiply_up(left, right), one + two),
        (ldexp_up(left, three), one + three),
    ):
        assert found > 0.0
        assert math.log2(found) >= max(exact, -1074)
        assert exact < -1022 or exact > 1023 or math.log2(found) == pytest.approx(exact)
    assert hypot_up([left, right]) >= math.hypot(left, right) * (1 - 1e-15)
    assert hypot_up([left, right]) <= math.hypot(left, right) * (1 + 1e-14)
