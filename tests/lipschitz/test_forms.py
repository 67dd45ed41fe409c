"""Operations that are easily mistaken for others: by arguments, names, shapes or base classes."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.networks import Fn, jacobian_norm, quick, upper
from sngan.lipschitz import lipschitz_bounds
from sngan.lipschitz.blocks import MaxMin


class Pooling(nn.MaxPool2d):
    """A name without the number of dimensions."""


class Pooling3d(nn.MaxPool2d):
    """A name with another number."""


class Circular(nn.Conv2d):
    """A name without the number of dimensions."""


@pytest.mark.parametrize("kind", [Pooling, Pooling3d])
def test_a_subclass_of_any_name_reads_its_input_as_its_base_does(kind):
    assert upper(kind(3, 1), (8, 8)) == pytest.approx(3.0)
    assert upper(kind(3, 1), (1, 8, 8)) == pytest.approx(3.0)


@pytest.mark.parametrize("shape", [(6, 6), (1, 6, 6)])
def test_a_subclass_of_a_convolution_without_a_batch(shape):
    layer = Circular(1, 2, 3, padding=1, padding_mode="circular")
    steepest = jacobian_norm(layer, torch.zeros(shape).double())
    assert upper(layer, shape) == pytest.approx(steepest, rel=1e-6)


WEIGHT = torch.tensor([1.0, 2.0, 3.0, 4.0]).double()
# functions whose arguments differ from those of the function with the same name
NAMESAKES = {
    "scale of elu_": lambda x: F.elu_(x.clone(), 1.0, 5.0),
    "input scale of elu_": lambda x: F.elu_(x.clone(), 1.0, 1.0, 5.0),
    "torch.batch_norm": lambda x: torch.batch_norm(
        x, WEIGHT, WEIGHT * 100, WEIGHT * 0, WEIGHT / 100, False, 0.1, 1e-5, False
    ),
}


@pytest.mark.parametrize("name", NAMESAKES)
def test_namesakes_with_other_arguments(name):
    function = Fn(NAMESAKES[name])
    with torch.no_grad():
        ends = torch.full((2, 4), -1e-3).double() + torch.tensor([[0.0], [1e-6]]).double()
        change = function(ends)
    assert upper(function, (4,)) >= (change[1] - change[0]).norm() / (ends[1] - ends[0]).norm()


# functions in which values decide a shape, and the shape decides the slope
BY_SHAPE = {
    "a mask": lambda x: x[x > 1e6].numel(),
    "nonzero": lambda x: len((x > 1e6).nonzero()),
    "where": lambda x: len(torch.where(x > 1e6)[0]),
    "argwhere": lambda x: torch.argwhere(x > 1e6).shape[0],
    "masked_select": lambda x: x.masked_select(x > 1e6).shape[0],
    "unique": lambda x: len(x.clamp_min(1e6).unique()) - 1,
    "repeats": lambda x: len(torch.ones(4).repeat_interleave((x[0] > 1e6).long())),
    "bincount": lambda x: len((x[0] > 1e6).long().bincount()) - 1,
}


@pytest.mark.parametrize("name", BY_SHAPE)
def test_shapes_that_depend_on_values_are_refused(name):
    bounds = lipschitz_bounds(Fn(lambda x: (1 + BY_SHAPE[name](x)) * x), (4,), lower=False)
    assert bounds.upper == math.inf
    assert "values decide the shape" in bounds.reasons[0]


def test_errors_that_depend_on_values_are_refused():
    table = torch.zeros(10**6)

    def by_error(x):
        try:
            assert table[x.abs().long()].shape == x.shape
        except IndexError:
            return 5 * x
        return x

    assert upper(Fn(by_error), (4,)) == math.inf


def test_another_default_device_changes_nothing():
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    plain = quick(network, (4,)).to_dict()
    with torch.device("meta"):
        assert quick(network, (4,)).to_dict() == plain


def test_shapes_that_depend_on_constants_are_accepted():
    mask, repeats = torch.tensor([True, False, True, True]), torch.tensor([1, 2, 0, 1])
    assert upper(Fn(lambda x: x[:, mask] * x[:, mask].shape[1]), (4,)) == 3.0
    assert upper(Fn(lambda x: x.masked_select(mask) * 2), (4,)) == 2.0
    assert upper(Fn(lambda x: x.repeat_interleave(repeats, 1)), (4,)) == pytest.approx(2**0.5)


@pytest.mark.parametrize("name", ["forward", "_conv_forward"])
def test_a_method_of_one_layer_that_was_replaced(name):
    layer = nn.Conv1d(1, 1, 3, bias=False).double()
    original = getattr(layer, name)
    setattr(layer, name, lambda *args: 10 * original(*args))
    steepest = jacobian_norm(layer, torch.zeros(1, 8).double())
    assert upper(layer, (1, 8)) >= steepest * (1 - 1e-9)


# operations that return several tensors, next to linear and nonlinear ones
SEVERAL = {
    "sort": (lambda x: x.sort(1).values, 1.0),
    "relu, sort": (lambda x: 2 * torch.relu(x).sort(1)[0], 2.0),
    "max, tanh": (lambda x: x.max(1)[0].tanh(), 1.0),
    "topk, relu": (lambda x: x.abs().topk(2, 1).values.relu(), 1.0),
    "chunks": (lambda x: torch.maximum(*torch.relu(x).chunk(2, 1)), 1.0),
}


@pytest.mark.parametrize("slopes", ["product", "eclipse", "sdp"])
@pytest.mark.parametrize("name", SEVERAL)
def test_operations_that_return_several_tensors_have_a_bound(name, slopes):
    function, constant = SEVERAL[name]
    bounds = quick(Fn(function), (4,), slopes=slopes)
    assert constant * (1 - 1e-9) <= bounds.upper <= constant * 1.42
    assert constant * 0.9 <= bounds.lower <= constant * (1 + 1e-9)


def test_lazy_layers_are_refused():
    with pytest.raises(ValueError, match=r"module: expected weights, got a lazy parameter in '0\."):
        quick(nn.Sequential(nn.LazyLinear(3)), (4,))


def test_a_search_from_many_points_needs_no_memory_for_all_pairs():
    network = nn.Sequential(nn.Linear(2, 4), MaxMin(), nn.Linear(4, 1))
    few = lipschitz_bounds(network, (2,), samples=100, rounds=1)
    # a list of all pairs would take 34 GB
    many = lipschitz_bounds(network, (2,), samples=65_536, rounds=1, slopes="product")
    assert not few.notes
    assert not many.notes
    assert many.lower >= 0.9 * few.lower > 0.0
