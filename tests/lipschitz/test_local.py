"""Local bounds: never below a slope in the domain, exact where no activation switches."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.networks import ACTIVATIONS, Fn, Residual, relu_network
from sngan.lipschitz import lipschitz_bounds
from sngan.lipschitz.blocks import GroupSort

NORMS = ("2", "1", "inf")
FEW = {"samples": 16, "rounds": 2}


def local(module, shape, **options):
    return lipschitz_bounds(module, shape, **{"lower": False, **options})


def mlp(*activations):
    layers = []
    for activation in activations:
        layers += [nn.Linear(4, 4), activation]
    return nn.Sequential(*layers, nn.Linear(4, 2))


SHAPES = {
    "chain": lambda a: mlp(a, a),
    "ends with an activation": lambda a: nn.Sequential(nn.Linear(4, 4), a),
    "residual": lambda a: nn.Sequential(
        nn.Linear(4, 4), Residual(nn.Sequential(nn.Linear(4, 4), a)), a, nn.Linear(4, 2)
    ),
    "concatenation": lambda a: nn.Sequential(
        Fn(lambda x, f: torch.cat([x, a(f(x))], 1), nn.Linear(4, 3)), a, nn.Linear(7, 2)
    ),
    "sorting": lambda a: nn.Sequential(
        *(nn.Linear(4, 4), a, nn.Linear(4, 4), GroupSort(2), nn.Linear(4, 4), a)
    ),
    "max pooling": lambda a: nn.Sequential(
        *(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 3, 3, padding=1), a, nn.MaxPool1d(2)),
        *(nn.Flatten(), nn.Linear(6, 4), a, nn.Linear(4, 2)),
    ),
    "maximum": lambda a: nn.Sequential(
        Fn(lambda x, f: torch.maximum(a(f(x)), x), nn.Linear(4, 4)), nn.Linear(4, 4), a
    ),
    "softmax": lambda a: nn.Sequential(nn.Linear(4, 4), a, nn.Softmax(1), nn.Linear(4, 4), a),
}
FUNCTIONS = [
    *ACTIVATIONS,
    *(torch.abs, torch.sin, torch.cos, torch.tanh, torch.atan, torch.relu, F.softplus, F.silu),
    lambda x: x.clamp(-0.3, 0.4),
    lambda x: x.clamp(min=0.2),
    lambda x: x.clamp(max=-0.1),
    lambda x: F.hardtanh(x, -0.2, 0.5),
    lambda x: F.leaky_relu(x, -0.7),
    lambda x: F.softplus(x, beta=4.0),
    lambda x: x.relu() - 0.5 * x.abs(),
]


def steepest(module, points, norm):
    """The largest slope of secants between random points and of short ones."""
    module = module.double().eval()
    ends = [points.roll(1, 0), points + 1e-4 * (points.roll(1, 0) - points)]
    best = 0.0
    for end in ends:
        with torch.no_grad():
            change = (module(points) - module(end)).flatten(1)
        length = torch.linalg.vector_norm((points - end).flatten(1), float(norm), dim=1)
        # short secants have a rounding error of about 1e-16/1e-4
        change = torch.linalg.vector_norm(change, float(norm), dim=1) - 1e-13
        best = max(best, float((change / length).max()))
    return best


def inside(centre, half, norm, count=300):
    """Random points in a ball, many of them on its border or in its corners."""
    noise = torch.randn(count, *centre.shape, dtype=torch.float64)
    if norm == "inf":
        return centre + half * (3 * noise).clamp(-1, 1)
    size = torch.linalg.vector_norm(noise.flatten(1), float(norm), dim=1, keepdim=True)
    scale = torch.rand(count, 1, dtype=torch.float64) ** 0.1
    return centre + half * scale * noise / size


def never_below(shape, place, seed, exponent, norm):
    torch.manual_seed(seed)
    function = FUNCTIONS[place]
    module = (
        SHAPES[shape](function if isinstance(function, nn.Module) else Fn(function)).double().eval()
    )
    centre, half = torch.randn(4, dtype=torch.float64), 10.0**exponent
    found = local(module, (4,), center=centre, radius=half, norm=norm).upper
    assert found >= steepest(module, inside(centre, half, norm), norm) * (1 - 1e-7)
    everywhere = local(module, (4,), norm=norm).upper
    assert found <= everywhere * (1 + 1e-9)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(
    shape=st.sampled_from(sorted(SHAPES)),
    place=st.integers(0, len(FUNCTIONS) - 1),
    seed=st.integers(0, 10**6),
    exponent=st.floats(-3.0, 1.0),
    norm=st.sampled_from(NORMS),
)
def test_no_slope_in_the_domain_is_above_the_bound(shape, place, seed, exponent, norm):
    never_below(shape, place, seed, exponent, norm)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_slope_is_above_the_bound_for_some_networks(shape):
    for place, norm in zip(range(0, len(FUNCTIONS), 16), itertools.cycle(NORMS), strict=False):
        never_below(shape, place, place, -0.5, norm)


@pytest.mark.parametrize("norm", NORMS)
def test_a_small_ball_without_kinks_is_exact(norm):
    torch.manual_seed(2)
    network = relu_network((3, 8, 8, 2))
    centre = torch.randn(3, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(network, centre)
    exact = torch.linalg.matrix_norm(jacobian, {"2": 2, "1": 1, "inf": math.inf}[norm]).item()
    found = lipschitz_bounds(network, (3,), center=centre, radius=1e-4, norm=norm, **FEW)
    assert found.upper == pytest.approx(exact, rel=1e-7)
    assert found.lower == pytest.approx(exact, rel=1e-7)
    assert found.lower <= found.upper
    assert "16 of 16 activations have one slope" in found.notes[0]


@pytest.mark.parametrize("norm", NORMS)
def test_affine_networks_are_exact(norm):
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    matrix = (network[1].weight @ network[0].weight).detach().double()
    exact = torch.linalg.matrix_norm(matrix, {"2": 2, "1": 1, "inf": math.inf}[norm]).item()
    found = lipschitz_bounds(network, (3,), norm=norm, box=(-1.0, 1.0), **FEW)
    assert found.upper == pytest.approx(exact, rel=1e-6)
    assert found.lower == pytest.approx(exact, rel=1e-6)


def shifted(bias, activation=None):
    layer = nn.Linear(1, 1).double()
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.fill_(bias)
    return nn.Sequential(layer, activation or nn.ReLU())


@pytest.mark.parametrize("bias", [-1.0, -1.0 + 1e-15, -1.0 - 1e-15, -0.1, 0.1])
def test_a_kink_on_the_border_counts(bias):
    # the activation switches at −bias, and the box ends at 1
    found = local(shifted(bias), (1,), box=(-5.0, 1.0)).upper
    assert found == pytest.approx(1.0, rel=1e-6)


def test_dead_and_live_neurons_have_one_slope():
    assert local(shifted(-1.0), (1,), box=(-5.0, 0.99)).upper == pytest.approx(0.0, abs=1e-6)
    assert local(shifted(-1.0, nn.LeakyReLU(0.25)), (1,), box=(-5.0, 0.9)).upper == pytest.approx(
        0.25, rel=1e-6
    )
    assert local(shifted(-1.0, Fn(torch.abs)), (1,), box=(-5.0, 0.9)).upper == pytest.approx(
        1.0, rel=1e-6
    )
    half = local(shifted(0.0, nn.Tanh()), (1,), box=(1.0, 2.0)).upper
    assert half == pytest.approx(1 - math.tanh(1.0) ** 2, rel=1e-6)


@pytest.mark.parametrize(
    ("sizes", "exponents"),
    [
        ((2, 4, 1), (-0.5,)),
        pytest.param((2, 4, 1), (-1.5, 0.5), marks=pytest.mark.slow),
        pytest.param((2, 3, 3, 2), (-1.5, -0.5, 0.5), marks=pytest.mark.slow),
    ],
)
def test_truth_on_a_grid_of_the_pieces(sizes, exponents):
    torch.manual_seed(1)
    network = relu_network(sizes, slope=0.1)
    slopes = "eclipse" if len(exponents) == 1 else "sdp"
    for exponent in exponents:
        centre, half = torch.randn(2, dtype=torch.float64), 10.0**exponent
        line = torch.linspace(-1, 1, 121, dtype=torch.float64)
        points = centre + half * torch.cartesian_prod(line, line)
        rows = torch.func.vmap(torch.func.jacrev(network))(points)
        truth = torch.linalg.matrix_norm(rows.reshape(len(points), -1, 2), 2).max().item()
        found = lipschitz_bounds(
            network, (2,), box=(centre - half, centre + half), slopes=slopes, **FEW
        )
        assert truth * (1 - 1e-9) <= found.upper
        assert found.upper <= 1.6 * truth
        assert found.lower <= found.upper


@pytest.mark.parametrize("activation", [nn.SiLU(), nn.GELU(), nn.ReLU(), nn.Tanh()])
def test_intervals_that_overflow_say_nothing(activation):
    network = nn.Sequential(nn.Linear(2, 3), activation, nn.Linear(3, 3), activation).double()
    with torch.no_grad():
        network[0].weight.mul_(1e160)
        network[2].weight.mul_(1e-160)
    everywhere = local(network, (2,)).upper
    assert math.isfinite(everywhere)
    points = torch.randn(200, 2, dtype=torch.float64)
    found = local(network, (2,), center=torch.zeros(2), radius=1e200).upper
    assert steepest(network, points, "2") * (1 - 1e-7) <= found <= everywhere * (1 + 1e-9)


def test_a_larger_domain_has_a_larger_bound():
    network = relu_network((3, 6, 6, 1))
    centre = torch.zeros(3)
    found = [local(network, (3,), center=centre, radius=r).upper for r in (0.01, 0.1, 1.0, 10.0)]
    assert found == sorted(found)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"center": torch.zeros(4)}, "radius"),
        ({"radius": 1.0}, "center"),
        ({"center": torch.zeros(3), "radius": 1.0}, "center"),
        ({"center": torch.zeros(4), "radius": 0.0}, "radius"),
        ({"center": torch.zeros(4), "radius": math.nan}, "radius"),
        ({"center": torch.full((4,), math.nan), "radius": 1.0}, "center"),
        ({"box": (1.0, 0.0)}, "box"),
        ({"box": 1.0}, "box"),
        ({"box": (torch.zeros(3), 1.0)}, "box"),
        ({"box": (0.0, math.inf)}, "box"),
        ({"box": (0.0, 1.0), "center": torch.zeros(4), "radius": 1.0}, "box"),
        ({"norm": "3"}, "norm"),
        ({"norm": 2}, "norm"),
    ],
)
def test_bad_domains_are_refused(options, name):
    with pytest.raises(ValueError, match=rf"^{name}: expected"):
        local(mlp(nn.ReLU()), (4,), **options)


@pytest.mark.parametrize("slopes", ["product", "eclipse"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_second_box_has_the_bound_of_a_call_of_its_own(shape, slopes):
    torch.manual_seed(3)
    network, box = SHAPES[shape](nn.ReLU()), (-0.3, 0.2)
    alone = local(network, (4,), box=box, slopes=slopes)
    everywhere = local(network, (4,), slopes=slopes)
    assert alone.upper_in_box is None
    for norm in NORMS:
        both = local(network, (4,), also_in_box=box, slopes=slopes, norm=norm)
        assert both.upper_in_box == alone.upper <= everywhere.upper
        assert both.upper == local(network, (4,), slopes=slopes, norm=norm).upper


def test_a_second_box_of_a_network_without_a_bound_and_a_bad_one():
    found = local(
        nn.Sequential(Fn(lambda x, f: f(x) ** 2, nn.Linear(4, 4))), (4,), also_in_box=(0, 1)
    )
    assert (found.upper, found.upper_in_box) == (math.inf, math.inf)
    with pytest.raises(ValueError, match=r"^also_in_box: expected low below high"):
        local(nn.Linear(4, 4), (4,), also_in_box=(1.0, 0.0))


@pytest.mark.parametrize("low", [0.1, 0.3, 0.6, 1.1])
def test_the_ends_of_a_box_are_not_rounded_to_float32(low):
    """The slope is 1 only on the first hundred-millionth part of the box."""
    end = low + 1e-10
    module = nn.Sequential(nn.Linear(1, 1), nn.ReLU()).double()
    with torch.no_grad():
        module[0].weight.fill_(-1.0)
        module[0].bias.fill_(end)
    for box in ((low, 2.0), (torch.tensor([low], dtype=torch.float64), 2.0)):
        assert lipschitz_bounds(module, (1,), box=box, lower=False).upper >= 1.0
        assert lipschitz_bounds(module, (1,), also_in_box=box, lower=False).upper_in_box >= 1.0
