"""Constants of single operations against derivatives that attain them."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import sngan.lipschitz as lip
from helpers.networks import (
    ACTIVATIONS,
    Fn,
    jacobian_norm,
    quick,
    upper,
)
from sngan.lipschitz.rules.modules import module_constant


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_slopes_of_activations_are_the_extremes_of_the_derivative(activation):
    activation = copy.deepcopy(activation).double().eval()
    x = torch.cat([torch.linspace(-100, 100, 200001), torch.linspace(-1e-6, 1e-6, 9)]).double()
    x.requires_grad_()
    (slopes,) = torch.autograd.grad(activation(x).sum(), x)
    factor = module_constant(activation, (1,), in_train_mode=False)
    low, high = factor.slopes
    assert slopes.max() <= high + 1e-15
    assert slopes.min() >= low - 1e-15
    assert high <= slopes.max() + 1e-3
    assert low >= slopes.min() - 1e-3
    assert factor.sigma == max(abs(low), abs(high))


@pytest.mark.parametrize(
    "name",
    ["gelu", "silu", "mish", "selu", "tanh", "sigmoid", "relu", "leaky_relu", "elu", "hardswish"],
)
def test_functions_have_the_constants_of_the_modules(name):
    kinds = {"gelu": nn.GELU, "silu": nn.SiLU, "mish": nn.Mish, "selu": nn.SELU, "tanh": nn.Tanh}
    kinds |= {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU}
    kinds["hardswish"] = nn.Hardswish
    assert upper(Fn(getattr(F, name)), (3,)) == upper(kinds[name](), (3,))


def pool(**options):
    return nn.MaxPool2d(**options)


# (module or function, input shape, its constant, and the attained slope if that is smaller)
EXACT = {
    "identity": (nn.Identity(), (3,), 1.0),
    "dropout in eval mode": (nn.Dropout().eval(), (3,), 1.0),
    "abs": (Fn(torch.abs), (3,), 1.0),
    "method clamp": (Fn(lambda x: x.clamp(-1, 1)), (3,), 1.0),
    "leaky slope above one": (Fn(lambda x: F.leaky_relu(x, 2.0)), (3,), 2.0),
    "leaky slope by name": (Fn(lambda x: F.leaky_relu(x, negative_slope=-4.0)), (3,), 4.0),
    "max pool without overlap": (pool(kernel_size=2), (2, 6, 6), 1.0),
    "max pool with gaps": (pool(kernel_size=2, stride=3), (2, 7, 7), 1.0),
    "overlapping max pool": (pool(kernel_size=3, stride=1), (1, 5, 5), 3.0),
    "max pool, stride 2 of 3": (pool(kernel_size=3, stride=2), (1, 7, 7), 2.0),
    "dilated max pool, stride 2 of 2": (pool(kernel_size=2, stride=2, dilation=2), (1, 8, 8), 2.0),
    "dilated max pool, stride 1": (pool(kernel_size=2, stride=1, dilation=2), (1, 8, 8), 2.0),
    "dilated max pool, apart": (pool(kernel_size=2, stride=4, dilation=2), (1, 8, 8), 1.0),
    "max pool of one window": (pool(kernel_size=3, stride=1), (1, 3, 3), 1.0),
    "functional max pool": (Fn(lambda x: F.max_pool2d(x, 3, 1)), (1, 5, 5), 3.0),
    "functional max pool, default stride": (Fn(lambda x: F.max_pool2d(x, 3)), (1, 6, 6), 1.0),
    "adaptive max pool": (nn.AdaptiveMaxPool1d(2), (1, 3), math.sqrt(2)),
    "sum over space": (Fn(lambda x: x.sum(dim=(2, 3))), (2, 3, 4), math.sqrt(12)),
    "mean": (Fn(lambda x: x.mean(1)), (9,), 1 / 3),
    "average pool": (Fn(lambda x: F.avg_pool2d(x, 2)), (1, 4, 4), 0.5),
    "nearest up-sampling": (Fn(lambda x: F.interpolate(x, scale_factor=2)), (1, 3, 3), 2.0),
    "reshapes": (Fn(lambda x: x.flatten(1).unflatten(1, (2, 6)).transpose(1, 2)), (3, 4), 1.0),
    "view by its shape": (Fn(lambda x: x.view(x.shape[0], -1)), (3, 4), 1.0),
    "halves": (Fn(lambda x: x.chunk(2, 1)[1]), (4,), 1.0),
    "slices": (Fn(lambda x: x[:, 1:]), (4,), 1.0),
    "sum of halves": (Fn(lambda x: x[:, :2] + x.chunk(2, 1)[1]), (4,), 2.0, math.sqrt(2)),
    "scaled": (Fn(lambda x: x * -3), (4,), 3.0),
    "scaled from the left": (Fn(lambda x: 3 * x), (4,), 3.0),
    "divided": (Fn(lambda x: x / 4), (4,), 0.25),
    "shifted": (Fn(lambda x: 1 - x), (4,), 1.0),
    "doubled by addition": (Fn(lambda x: x + x), (4,), 2.0),
    "added with alpha": (Fn(lambda x: torch.add(x, x, alpha=-3)), (4,), 4.0, 2.0),
    "subtracted": (Fn(lambda x: x.flip(1) - x), (4,), 2.0),
    "in-place addition": (Fn(lambda x: (x * 2).add_(x)), (4,), 3.0),
    "augmented addition": (Fn(lambda x: _augmented(x)), (4,), 3.0),
    "concatenated": (Fn(lambda x: torch.cat([x, 2 * x], 1)), (4,), math.sqrt(5)),
    "stacked thrice": (Fn(lambda x: torch.stack([x, x, x], 1)), (4,), math.sqrt(3)),
    "broadcast by addition": (Fn(lambda x: x[:, None] + torch.zeros(5, 4)), (4,), math.sqrt(5)),
    "broadcast by a product": (Fn(lambda x: x[:, None] * torch.ones(5, 1)), (4,), math.sqrt(5)),
    "broadcast by clamping": (
        Fn(lambda x: x[:, None].clamp(min=-9 * torch.ones(5, 1).double())), (4,), math.sqrt(5)
    ),
    "across the batch": (Fn(lambda x: x.expand(7, -1)), (4,), math.sqrt(7)),
    "expanded": (Fn(lambda x: x[:, None].expand(-1, 7, -1)), (4,), math.sqrt(7)),
    "softmax of two": (nn.Softmax(1), (2,), 0.5),
    "elementwise maximum": (Fn(lambda x: torch.maximum(x, x.flip(1))), (2,), math.sqrt(2)),
    "largest element": (Fn(lambda x: x.amax(1)), (4,), 1.0),
    "matrix product": (Fn(lambda x: x @ torch.full((4, 9), 0.5).double()), (4,), 3.0),
    "zeros": (Fn(lambda x: torch.zeros_like(x) + 1), (4,), 0.0),
    "reflected": (Fn(lambda x: F.pad(x, (1, 1), mode="reflect")), (1, 3), math.sqrt(3)),
    "padded": (Fn(lambda x: F.pad(x, (1, 2))), (1, 3), 1.0),
    "detached": (Fn(lambda x: x + x.detach()), (3,), 2.0, 0.0),
    "shared layer": (Fn(lambda x, f: f(f(x)), nn.PReLU(init=3.0)), (2,), 9.0),
    "index that repeats": (Fn(lambda x: x[:, [0, 0, 0]]), (3,), math.sqrt(3)),
    "read again": (Fn(lambda x: _read_again(x)), (3,), 10.0),
    "a view of it is changed": (Fn(lambda x: _view_changed(x)), (3,), 10.0),
    "cancelling scalings": (Fn(lambda x: (x * 8) / 8), (2,), 1.0),
}  # fmt: skip


def _augmented(x):
    y = 2 * x
    y += x
    return y


def _read_again(x):
    y = 1 * x
    y.mul_(10)
    return y


def _view_changed(x):
    y = 1 * x
    y.view(-1).mul_(10)
    return y


@pytest.mark.parametrize("name", EXACT)
def test_constant_of_one_operation(name):
    module, shape, constant, *attained = EXACT[name]
    bounds = quick(module, shape, samples=200, rounds=10)
    assert bounds.upper == pytest.approx(constant, rel=1e-8)
    assert bounds.lower <= bounds.upper
    if "max pool" not in name:
        assert bounds.lower == pytest.approx(*attained or [constant], rel=0.02)
    if bounds.lower > 0:
        assert jacobian_norm(module, bounds.witness) == pytest.approx(bounds.lower, rel=1e-6)


@pytest.mark.parametrize("norm", [nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.InstanceNorm1d(4)])
def test_normalization_layers_are_steepest_where_the_variance_vanishes(norm):
    shape = (4, 5) if not isinstance(norm, nn.LayerNorm) else (4,)
    constant = lip.epsilon_constant(norm, shape)
    assert constant == pytest.approx(1 / math.sqrt(1e-5))
    assert jacobian_norm(norm, torch.zeros(shape).double()) == pytest.approx(constant)
    bounds = quick(norm.eval(), shape, samples=9, rounds=1)
    assert bounds.upper == math.inf
    assert "max|γ|/√eps = 316.2" in bounds.reasons[0]
    assert type(norm).__name__ in bounds.reasons[0]


def test_a_normalization_without_eps_and_another_layer_have_no_such_constant():
    with pytest.raises(ValueError, match="layer: expected a positive eps, got 0"):
        lip.epsilon_constant(nn.LayerNorm(3, eps=0.0), (3,))
    with pytest.raises(ValueError, match="layer: expected LayerNorm, GroupNorm or InstanceNorm"):
        lip.epsilon_constant(nn.ReLU(), (3,))
    assert "unbounded" in quick(nn.LayerNorm(3, eps=0.0), (3,), samples=9, rounds=1).reasons[0]


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_functional_layers_have_the_norms_of_the_modules(dims):
    layer = [nn.Conv1d, nn.Conv2d, nn.Conv3d][dims - 1](2, 4, 3, stride=2, padding=1, groups=2)
    convolve = [F.conv1d, F.conv2d, F.conv3d][dims - 1]
    network = Fn(lambda x, f: convolve(x, f.weight, f.bias, 2, padding=1, groups=2), layer)
    shape = (2, *[5] * dims)
    assert upper(network, shape) == pytest.approx(upper(layer, shape), rel=1e-9)
    dense = nn.Linear(5, 2)
    linear = Fn(lambda x, f: F.linear(x, f.weight, bias=f.bias), dense)
    assert upper(linear, shape) == pytest.approx(upper(dense, shape), rel=1e-9)
    norm = Fn(lambda x, f: F.group_norm(x, 2, f.weight, f.bias, 1e-3), nn.GroupNorm(2, 2))
    assert "max|γ|/√eps = 31.62" in quick(norm, shape, samples=9, rounds=1).reasons[0]
