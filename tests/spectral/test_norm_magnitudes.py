"""Norms of weights from 1e-300 to 1e300, in every precision, and of weights without a norm."""

import copy
import functools
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.examples import examples
from helpers.maps import truth
from sngan.spectral import certified_norm, operator_norm

METHODS = ("exact", "upper_bound", "gram", "estimate")
LAYERS = {
    "linear": (lambda: nn.Linear(5, 4), (5,)),
    "wide": (lambda: nn.Linear(3, 9), (3,)),
    "conv1d": (lambda: nn.Conv1d(2, 3, 3, padding=1), (2, 7)),
    "conv2d": (lambda: nn.Conv2d(2, 3, 3, stride=2, padding=1), (2, 6, 5)),
    "conv3d": (lambda: nn.Conv3d(1, 2, 2), (1, 3, 3, 3)),
    "circular": (lambda: nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), (2, 4, 4)),
    "reflect": (lambda: nn.Conv1d(2, 2, 3, padding=2, padding_mode="reflect"), (2, 5)),
    "groups": (lambda: nn.Conv2d(4, 4, 3, groups=2, padding=1), (4, 5, 5)),
    "transposed": (lambda: nn.ConvTranspose2d(2, 3, 3, stride=2, output_padding=1), (2, 3, 4)),
    "batch norm": (lambda: nn.BatchNorm2d(3).eval(), (3, 2, 2)),
}


def gaussian(name):
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    layer = make().double()
    with torch.no_grad():
        layer.weight.normal_()
    return layer, shape


def times(layer, scale):
    scaled = copy.deepcopy(layer)
    with torch.no_grad():
        scaled.weight.mul_(scale)
    return scaled


def norm(layer, shape, method):
    return operator_norm(layer, shape, method=method).item()


@functools.cache
def unscaled_norm(name, method):
    return norm(*gaussian(name), method)


@pytest.mark.parametrize(
    "scale",
    [
        1e-300,
        1e170,
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in (1e-171, 1e-154, 1e-40, 1e40, 1e154, 1e300)
        ),
    ],
)
@pytest.mark.parametrize("name", LAYERS)
def test_a_norm_is_proportional_to_the_weight(name, scale):
    layer, shape = gaussian(name)
    true = truth(layer, shape)
    scaled = times(layer, scale)
    for method in METHODS:
        found = norm(scaled, shape, method)
        assert found / scale == pytest.approx(unscaled_norm(name, method), rel=1e-12)
    assert norm(scaled, shape, "exact") / scale == pytest.approx(true, rel=1e-9)
    for proved in ("upper_bound", "gram"):
        assert norm(scaled, shape, proved) / scale >= true * (1 - 1e-12)
    assert norm(scaled, shape, "estimate") / scale <= true * (1 + 1e-12)
    certificate = certified_norm(scaled, shape)
    assert true * (1 + 1e-12) <= certificate.norm / scale <= true * (1 + 1e-8)


# below 2^-1000 the small entries of the scaled weight would be subnormal, and rounded
@settings(max_examples=examples(60), deadline=None, derandomize=True)
@given(st.sampled_from(list(LAYERS)), st.integers(-1000, 1000))
def test_a_power_of_two_changes_no_digit(name, exponent):
    layer, shape = gaussian(name)
    scaled = times(times(layer, 2.0 ** (exponent // 2)), 2.0 ** (exponent - exponent // 2))
    for method in METHODS if name != "batch norm" else ("exact", "upper_bound"):
        assert norm(scaled, shape, method) == math.ldexp(unscaled_norm(name, method), exponent)


@pytest.mark.parametrize("exponent", [-1074, -1070, -1040])
@pytest.mark.parametrize("name", ["linear", "conv2d", "circular", "transposed"])
def test_a_proof_of_a_subnormal_norm_is_rounded_up(name, exponent):
    layer, shape = gaussian(name)
    with torch.no_grad():
        # integers, which the scale does not round
        layer.weight.copy_((3 * layer.weight).round())
    true = truth(layer, shape)
    scaled = times(times(layer, 2.0**-500), 2.0 ** (exponent + 500))
    for method in ("upper_bound", "gram"):
        assert Fraction(norm(scaled, shape, method)) >= Fraction(true) * Fraction(2) ** exponent
    assert Fraction(certified_norm(scaled, shape).norm) >= Fraction(true) * Fraction(2) ** exponent


@pytest.mark.parametrize("name", ["linear", "conv2d", "transposed"])
def test_one_large_entry_beside_small_ones(name):
    layer, shape = gaussian(name)
    with torch.no_grad():
        layer.weight.mul_(1e-200).flatten()[0] = 1e100
    true = truth(times(layer, 1e-100), shape)
    for method in ("exact", "upper_bound", "gram"):
        assert norm(layer, shape, method) / 1e100 == pytest.approx(true, rel=0.2)
    assert certified_norm(layer, shape).norm / 1e100 >= true * (1 - 1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", LAYERS)
def test_weights_of_any_precision_are_read_as_they_are(name, dtype):
    layer, shape = gaussian(name)
    layer.to(dtype)
    exact = copy.deepcopy(layer).double()
    for method in METHODS:
        found = operator_norm(layer, shape, method=method)
        assert found.dtype == torch.float64
        assert found.item() == norm(exact, shape, method)


@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1e30, 3e37])
def test_float32_weights_at_the_ends_of_their_range(scale):
    for name in ("linear", "conv2d"):
        layer, shape = gaussian(name)
        layer = times(layer, scale).float()
        expected = truth(copy.deepcopy(layer), shape)
        for method in METHODS:
            assert norm(layer, shape, method) == pytest.approx(expected, rel=0.2)


def test_the_gradient_of_gram_follows_the_scale():
    layer, shape = gaussian("conv2d")
    gradients = []
    for scale in (1.0, 1e-200, 1e200):
        scaled = times(layer, scale)
        bound = operator_norm(scaled, shape, method="gram")
        gradients.append(torch.autograd.grad(bound, scaled.weight)[0])
    for gradient in gradients[1:]:
        torch.testing.assert_close(gradient, gradients[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sizes", [(3, 0), (0, 3)])
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_layer_without_entries_has_norm_zero(sizes):
    layer, shape = nn.Linear(*sizes, bias=False), sizes[:1]
    for method in METHODS:
        assert norm(layer, shape, method) == 0
    assert certified_norm(layer, shape).norm == 0


def spoilt(name, value):
    layer, shape = gaussian(name)
    with torch.no_grad():
        layer.weight.flatten()[-1] = value
    return layer, shape


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", LAYERS)
def test_weights_that_are_not_finite_are_refused(name, value, method):
    layer, shape = spoilt(name, value)
    for call in (lambda: norm(layer, shape, method), lambda: certified_norm(layer, shape)):
        with pytest.raises(ValueError, match=r"^layer: expected finite weights, got a weight that"):
            call()


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_running_variances_that_are_none_are_refused(value):
    layer, shape = gaussian("batch norm")
    layer.running_var[1] = value
    with pytest.raises(ValueError, match=r"^layer: expected a finite running variance of at least"):
        certified_norm(layer, shape)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: operator_norm(nn.Linear(3, 2, device="meta"), (3,)),
            "layer: expected finite weights, got a weight on the meta device",
        ),
        (
            lambda: operator_norm(nn.BatchNorm1d(3, device="meta").eval(), (3,)),
            "layer: expected a finite running variance of at least 0, got one on the meta device",
        ),
        (
            lambda: operator_norm(nn.Linear(3, 2), 3),
            r"input_shape: expected sizes such as \(3, 32, 32\), got 3",
        ),
        (
            lambda: operator_norm(nn.Linear(3, 2), (3.0,)),
            r"input_shape: expected sizes such as \(3, 32, 32\), got \(3.0,\)",
        ),
        (
            lambda: operator_norm(nn.Linear(3, 2), (3,), output_size=(2,)),
            r"output_size: expected None for Linear, got \(2,\)",
        ),
        (
            lambda: operator_norm(nn.ConvTranspose1d(1, 1, 3), (1, 4), output_size=(5,)),
            r"output_size: expected sizes of at least \(6,\), got \(5,\)",
        ),
        (
            lambda: operator_norm(nn.ConvTranspose1d(1, 1, 3), (1, 4), output_size=(6, 6)),
            r"output_size: expected sizes of at least \(6,\), got \(6, 6\)",
        ),
        (
            lambda: operator_norm(nn.ConvTranspose1d(1, 1, 3), (1, 4), output_size=(9,)),
            "input_shape: expected one that fits ConvTranspose1d",
        ),
    ],
)
def test_bad_input_is_one_clear_line(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call()
