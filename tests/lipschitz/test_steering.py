"""Steering of the search: it finds slopes that no random step meets, in every norm and domain."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.networks import Fn, jacobian_norm
from sngan.lipschitz import lipschitz_bounds
from sngan.lipschitz.search.jacobian_norms import JacobianNorms
from sngan.lipschitz.search.steering import steer
from sngan.lipschitz.search.switching import SwitchingSlopes
from sngan.lipschitz.tracing.prepare import prepare

ORDERS = {"2": 2, "1": 1, "inf": math.inf}
FEW = {"samples": 24, "rounds": 10, "slopes": "product"}


def late_network(activation, *, inputs=100, hidden=30, depth=2):
    """Weights ≥ 0: steepest where all neurons are on, which noise in many dimensions never meets.

    In the first layer, each input is read by one neuron, so the neurons switch independently.
    """
    layers, size = [], inputs
    for place in range(depth):
        layer = nn.Linear(size, hidden, dtype=torch.float64)
        own = torch.arange(hidden)[:, None] == torch.arange(size) % hidden
        with torch.no_grad():
            layer.weight.abs_().mul_(own if place == 0 else 1.0)
            layer.bias.copy_(-0.5 * layer.weight.sum(1))
        layers += [layer, activation]
        size = hidden
    last = nn.Linear(hidden, 3, dtype=torch.float64)
    with torch.no_grad():
        last.weight.abs_()
    return nn.Sequential(*layers, last)


def product_norm(network, norm):
    product = torch.eye(network[0].in_features, dtype=torch.float64)
    for layer in network:
        product = layer.weight @ product if isinstance(layer, nn.Linear) else product
    return torch.linalg.matrix_norm(product, ORDERS[norm]).item()


@pytest.mark.parametrize(
    "activation",
    [
        nn.ReLU(),
        nn.ReLU(inplace=True),
        nn.LeakyReLU(0.1),
        nn.LeakyReLU(0.1, inplace=True),
        Fn(torch.relu),
        Fn(lambda x: x.clone().relu_()),
        Fn(lambda x: F.leaky_relu(x, 0.1, True)),
    ],
)
def test_all_neurons_get_switched_on(activation):
    network = late_network(activation)
    truth = product_norm(network, "2")
    steered = lipschitz_bounds(network, (100,), **FEW)
    assert steered.lower == pytest.approx(truth, rel=1e-6)
    assert jacobian_norm(network, steered.witness) == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize("norm", ORDERS)
def test_the_norm_of_the_question_counts(norm):
    network = late_network(nn.ReLU())
    found = lipschitz_bounds(network, (100,), norm=norm, box=(-9.0, 9.0), **FEW)
    # for the 1-norm, one column is steered, and its neurons are on before all others
    assert 0.9 * product_norm(network, norm) <= found.lower <= found.upper
    assert found.witness.abs().max() <= 9.0


@pytest.mark.parametrize("norm", ORDERS)
def test_points_stay_in_their_ball(norm):
    network = late_network(nn.ReLU(), inputs=20)
    centre = torch.full((20,), -1.0)
    found = lipschitz_bounds(network, (20,), norm=norm, center=centre, radius=2.0, **FEW)
    offset = found.witness - centre
    assert torch.linalg.vector_norm(offset, ORDERS[norm]) <= 2.0


@pytest.mark.parametrize(
    "module",
    [nn.Linear(4, 2), nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)), nn.Softmax(1)],
)
def test_networks_without_kinks_are_not_steered(module):
    jacobian = JacobianNorms(prepare(module, (4,)), torch.Generator().manual_seed(0), 6)
    points = torch.randn(5, 4, dtype=torch.float64)
    assert len(steer(jacobian, points, torch.ones(1, dtype=torch.float64), steps=5)) == 0


@pytest.mark.parametrize(
    "function", [F.relu, torch.abs, lambda x: F.leaky_relu(x, -0.5), lambda x: x.clone().relu_()]
)
def test_values_and_first_derivatives_do_not_change(function):
    x = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(function(x).sum(), x)
    with SwitchingSlopes() as slopes:
        y = function(x)
        (found,) = torch.autograd.grad(y.sum(), x)
    assert slopes.count == 1
    assert torch.equal(y, function(x))
    assert torch.equal(found, expected)


def test_the_slope_is_pulled_to_the_side_where_it_helps():
    x = torch.tensor([[-2.0, 2.0, -2.0, 2.0]], dtype=torch.float64, requires_grad=True)
    wanted = torch.tensor([[1.0, 1.0, -1.0, -1.0]], dtype=torch.float64)
    with SwitchingSlopes():
        (slope,) = torch.autograd.grad(F.relu(x).sum(), x, create_graph=True)
        (pull,) = torch.autograd.grad((wanted * slope).sum(), x)
    # elements that are off and should be on rise, those that are on and should be off fall
    assert pull[0].tolist() == [0.5, 0.0, 0.0, -0.5]


@pytest.mark.parametrize("norm", ORDERS)
def test_power_iterations_find_the_norm_of_a_matrix(norm):
    matrix = nn.Linear(6, 5, bias=False)
    jacobian = JacobianNorms(prepare(matrix, (6,)), torch.Generator().manual_seed(0), 20, norm)
    exact = torch.linalg.matrix_norm(matrix.weight.double(), ORDERS[norm]).item()
    points = torch.randn(40, 6, dtype=torch.float64)
    norms = jacobian.norms(points)
    assert norms.max().item() == pytest.approx(exact, rel=1e-6)
    assert jacobian.norm_at(points[0])[0] == pytest.approx(exact, rel=1e-12)
    direction = jacobian.norm_at(points[0])[1]
    assert torch.linalg.vector_norm(direction, ORDERS[norm]).item() == pytest.approx(1.0)
