"""Lipschitz bounds against dense derivatives, brute force, and cases built to break them."""

import copy
import itertools
import json
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

import sngan.lipschitz as lip
from sngan import models
from sngan.lipschitz import blocks, lipschitz_bounds
from sngan.lipschitz.modules import module_factor
from sngan.lipschitz.slopes import slope_bound


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


class Fn(nn.Module):
    """A function as a module, with an optional submodule ``inner``."""

    def __init__(self, function, inner=None):
        super().__init__()
        self.function, self.inner = function, inner

    def forward(self, x):
        return self.function(x) if self.inner is None else self.function(x, self.inner)


def jacobian_norm(module, point):
    module = copy.deepcopy(module).double().eval()
    jacobian = torch.autograd.functional.jacobian(lambda x: module(x).flatten(), point[None])
    return torch.linalg.matrix_norm(jacobian.flatten(1), 2).item()


def quick(module, shape, **options):
    return lipschitz_bounds(module, shape, **{"samples": 48, "rounds": 4, **options})


def upper(module, shape):
    return quick(module, shape, samples=3, rounds=0).upper


# ---- constants of single operations ----

ACTIVATIONS = [
    nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.2), nn.LeakyReLU(3.0), nn.LeakyReLU(-2.0), nn.Hardtanh(),
    nn.Tanh(), nn.Sigmoid(), nn.LogSigmoid(), nn.Hardsigmoid(), nn.GELU(), nn.GELU("tanh"),
    nn.SiLU(), nn.Mish(), nn.Hardswish(), nn.ELU(), nn.ELU(2.5), nn.ELU(-1.5), nn.CELU(0.3),
    nn.SELU(), nn.Softplus(), nn.Softplus(beta=3.0), nn.Softsign(), nn.Tanhshrink(),
    nn.Softshrink(), nn.PReLU(init=0.3), nn.PReLU(init=-2.5), nn.RReLU(0.5, 3.0),
]  # fmt: skip


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_slopes_of_activations_are_the_extremes_of_the_derivative(activation):
    activation = copy.deepcopy(activation).double().eval()
    x = torch.cat([torch.linspace(-100, 100, 200001), torch.linspace(-1e-6, 1e-6, 9)]).double()
    x.requires_grad_()
    (slopes,) = torch.autograd.grad(activation(x).sum(), x)
    factor = module_factor(activation, (1,), in_train_mode=False)
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


# (module or function, input shape, its constant, and what is attained where that is less)
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


# ---- unbounded operations name themselves ----

UNBOUNDED = {
    "attention": (Fn(lambda x, a: a(x, x, x)[0], nn.MultiheadAttention(4, 1)), "2006.04710"),
    "functional attention": (Fn(lambda x: F.scaled_dot_product_attention(x, x, x)), "2006.04710"),
    "square": (Fn(lambda x: x * x), "both depend"),
    "product of branches": (Fn(lambda x: x.sigmoid() * x), "both depend"),
    "reciprocal": (Fn(lambda x: 1 / x), "no known constant"),
    "exponential": (Fn(torch.exp), "no known constant"),
    "step": (Fn(lambda x: (x > 0).double()), "not real"),
    "batch norm in train mode": (nn.Sequential(nn.BatchNorm1d(3)), "train mode"),
    "batch norm without statistics": (nn.BatchNorm2d(3, track_running_stats=False).eval(), "batch"),
    "dropout in train mode": (nn.Sequential(nn.Dropout(0.5)), "train mode"),
    "functional dropout": (Fn(lambda x: F.dropout(x)), "train mode"),
    "control flow": (Fn(lambda x: x if x.sum() > 0 else 5 * x), "takes values out"),
    "division by zero": (Fn(lambda x: x / 0), "divides by zero"),
    "softplus that jumps": (nn.Softplus(threshold=1.0), "jumps"),
    "recurrent": (Fn(lambda x, r: r(x[:, None])[0], nn.GRU(3, 3)), "no known constant"),
    "gate": (nn.GLU(), "multiplies"),
}


def _read_again(x):
    y = 1 * x
    y.mul_(10)
    return y


def _view_changed(x):
    y = 1 * x
    y.view(-1).mul_(10)
    return y


@pytest.mark.parametrize("name", UNBOUNDED)
def test_what_has_no_constant_says_why(name):
    module, reason = UNBOUNDED[name]
    shapes = {"attention": (4, 4), "gate": (4,), "batch norm without statistics": (3, 2, 2)}
    shape = shapes.get(name.removeprefix("functional "), (3,))
    bounds = quick(module, shape, samples=9, rounds=1)
    assert bounds.upper == math.inf
    assert any(reason in text for text in bounds.reasons)
    data = json.loads(json.dumps(bounds.to_dict(), allow_nan=False))
    assert data["upper"] is None
    assert data["reasons"]
    assert bounds.reasons[0] in bounds.table()


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


def test_an_overridden_forward_is_not_taken_for_its_base():
    class Squared(nn.Linear):
        def forward(self, x):
            return super().forward(x) ** 2

    class Steep(nn.ReLU):
        def forward(self, x):
            return 5 * super().forward(x)

    assert upper(Squared(3, 3), (3,)) == math.inf
    assert upper(Steep(), (3,)) == pytest.approx(5)


@pytest.mark.parametrize("place", ["", "0", "0.branch", "1", "1.0"])
def test_a_forward_hook_is_not_overlooked(place):
    network = nn.Sequential(Residual(nn.Linear(3, 3)), nn.Sequential(nn.Linear(3, 3)))
    plain = upper(network, (3,))
    hook = network.get_submodule(place).register_forward_hook(lambda _m, _i, out: 10 * out)
    bounds = quick(network, (3,))
    assert bounds.upper >= max(bounds.lower, 2 * plain)
    hook.remove()
    assert upper(network, (3,)) == plain


def test_a_layer_of_zeros_after_an_unbounded_one_is_constant():
    network = nn.Sequential(nn.GLU(), nn.Linear(2, 2))
    nn.init.zeros_(network[1].weight)
    bounds = quick(network, (4,))
    assert bounds.upper == 0.0
    assert bounds.reasons == ()


def test_in_place_activations_are_followed():
    x_again = Fn(lambda x, f: f(y := 1 * x) + y, nn.ReLU(inplace=True))
    bounds = quick(x_again, (3,))
    assert bounds.upper == pytest.approx(2.0)
    assert bounds.lower == pytest.approx(2.0)
    steep = Fn(lambda x, f: f(y := 1 * x) + y, nn.LeakyReLU(3.0, inplace=True))
    assert upper(steep, (3,)) == pytest.approx(6.0)
    network = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 3), nn.ReLU(inplace=True))
    assert math.isfinite(quick(network, (3,)).upper)


def test_one_changed_between_two_linear_layers_is_not_merged_over():
    class Sneaky(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)
            self.one.weight.data = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
            self.two.weight.data = torch.tensor([[1.0, 1.0]])

        def forward(self, x):
            y = self.one(x)
            F.relu_(y.view(-1))
            return self.two(y)

    # merged, the two layers cancel; with the ReLU they are |x|
    bounds = quick(Sneaky(), (2,))
    assert bounds.lower == pytest.approx(1.0)
    assert bounds.upper >= 1.0


# ---- networks ----


def relu_network(sizes, slope=0.0):
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(slope)]
    return nn.Sequential(*layers[:-1]).double()


def over_patterns(network, slope):
    """The largest Jacobian norm over all patterns of activity, reachable or not."""
    weights = [layer.weight.detach() for layer in network if isinstance(layer, nn.Linear)]
    units = [len(weight) for weight in weights[:-1]]
    best = 0.0
    for pattern in itertools.product([slope, 1.0], repeat=sum(units)):
        gates = torch.tensor(pattern, dtype=torch.float64).split(units)
        product = weights[0]
        for gate, weight in zip(gates, weights[1:], strict=True):
            product = weight @ (gate[:, None] * product)
        best = max(best, torch.linalg.matrix_norm(product, 2).item())
    return best


def on_grid(network, extent=6.0, side=201):
    """The largest gradient norm of a network of two inputs and one output on a dense grid."""
    line = torch.linspace(-extent, extent, side).double()
    points = torch.cartesian_prod(line, line).requires_grad_()
    (gradient,) = torch.autograd.grad(network(points).sum(), points)
    return gradient.norm(dim=1).max().item()


@pytest.mark.parametrize("slope", [0.0, 0.1, -0.3, 2.0])
@pytest.mark.parametrize("sizes", [(2, 6, 1), (2, 5, 5, 1), (3, 4, 3, 3, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_proofs_hold_against_every_pattern_of_activity(sizes, slope, seed):
    torch.manual_seed(seed)
    network = relu_network(sizes, slope)
    # the proof by slopes covers the patterns that no input reaches, too
    worst = over_patterns(network, slope)
    found = {kind: quick(network, sizes[:1], slopes=kind) for kind in ("product", "eclipse", "sdp")}
    for bounds in found.values():
        assert bounds.upper >= worst * (1 - 1e-12)
        assert bounds.lower <= worst * (1 + 1e-9)
    assert found["sdp"].upper <= found["eclipse"].upper <= found["product"].upper
    assert found["sdp"].upper < found["product"].upper


def test_the_closed_form_is_the_papers_for_relu():
    weights = [torch.randn(5, 3).double(), torch.randn(4, 5).double(), torch.randn(2, 4).double()]
    x = torch.eye(3).double()
    for weight in weights[:-1]:
        # Xu, Sivaranjani 2024: λ = 2/‖W X⁻¹ Wᵀ‖, X ← λI − λ²/4 · W X⁻¹ Wᵀ
        inner = weight @ torch.linalg.inv(x) @ weight.t()
        size = 2 / torch.linalg.matrix_norm(inner, 2)
        x = size * torch.eye(len(weight)).double() - size**2 / 4 * inner
    last = weights[-1]
    constant = torch.linalg.matrix_norm(last @ torch.linalg.inv(x) @ last.t(), 2).sqrt().item()
    found = slope_bound(weights, [(0.0, 1.0)] * 2, optimized=False)
    assert found == pytest.approx(constant, rel=1e-6)
    assert found >= constant * (1 - 1e-12)


@pytest.mark.parametrize("slopes", [(0.1, 1.0), (-0.13, 1.13), (0.5, 3.0), (-2.0, 0.5)])
def test_slope_bound_against_corners_and_the_product(slopes):
    weights = [torch.randn(3, 2).double(), torch.randn(3, 3).double(), torch.randn(1, 3).double()]
    worst = 0.0
    for gates in itertools.product(slopes, repeat=6):
        first, second = torch.tensor(gates).double().split(3)
        jacobian = weights[2] @ (second[:, None] * weights[1]) @ (first[:, None] * weights[0])
        worst = max(worst, torch.linalg.matrix_norm(jacobian, 2).item())
    steepest = max(map(abs, slopes))
    product = math.prod(torch.linalg.matrix_norm(w, 2).item() for w in weights) * steepest**2
    closed = slope_bound(weights, [slopes] * 2, optimized=False)
    best = slope_bound(weights, [slopes] * 2, optimized=True)
    assert worst <= best <= closed <= product * (1 + 1e-6)


def test_slope_bound_is_exact_where_the_product_is():
    # identical rank-one layers: every gate open is the worst, and it attains the product
    ones = torch.full((3, 3), 1 / 3).double()
    found = slope_bound([ones] * 4, [(0.0, 1.0)] * 3, optimized=True)
    assert 1.0 <= found <= 1.0 + 1e-4


@pytest.mark.parametrize("slopes", [(-1.0, 1.0), (1.0, 1.0)])
def test_slope_bound_declines_what_its_proof_does_not_cover(slopes):
    weights = [torch.eye(2).double()] * 2
    assert slope_bound(weights, [slopes], optimized=False) is None


def test_badly_scaled_layers_keep_the_proof():
    network = relu_network((3, 6, 6, 1))
    with torch.no_grad():
        network[0].weight.mul_(1e-7)
        network[2].weight.mul_(1e9)
        network[2].weight[0] *= 1e-6
    bounds = quick(network, (3,), slopes="sdp")
    assert over_patterns(network, 0.0) <= bounds.upper <= bounds.product


@pytest.mark.parametrize("seed", range(6))
def test_search_finds_the_steepest_region_in_the_plane(seed):
    torch.manual_seed(seed)
    network = relu_network((2, 5, 5, 1), 0.1)
    bounds = lipschitz_bounds(network, (2,))
    grid = on_grid(network)
    assert bounds.lower >= 0.97 * grid
    assert bounds.upper >= grid
    assert jacobian_norm(network, bounds.witness) == pytest.approx(bounds.lower, rel=1e-6)


def test_smooth_networks_climb_to_the_steepest_point():
    network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    bounds = lipschitz_bounds(network, (2,), rounds=40)
    assert on_grid(network) * 0.999 <= bounds.lower <= bounds.upper


def test_a_linear_network_has_equal_bounds():
    network = nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 3), nn.Flatten())
    product = network[1].weight.double() @ network[0].weight.double()
    sigma = torch.linalg.matrix_norm(product, 2).item()
    bounds = quick(network, (5,))
    assert bounds.lower == pytest.approx(sigma, rel=1e-9)
    assert bounds.upper == pytest.approx(sigma, rel=1e-8)
    assert bounds.lower <= bounds.upper
    assert [layer.method for layer in bounds.layers] == ["merged"]
    assert bounds.layers[0].name == "0 + 1"


def test_layers_that_cancel_are_merged_with_room_for_rounding():
    network = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)).double()
    nn.init.constant_(network[0].weight, 1e8)
    network[1].weight.data = torch.tensor([1.0, -1.0, 1.0, -1.0]).double().repeat(4, 1) * 1e8
    network[1].weight.data[0, 0] += 1e-8
    bounds = quick(network, (4,))
    exact = 1e8 * (network[1].weight.data.sum(1).norm() * 2).item()
    assert bounds.upper >= exact


def test_a_convolution_is_merged_with_pooling_and_dense():
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 2)
    )
    bounds = quick(network, (1, 9, 9))
    assert bounds.upper == pytest.approx(bounds.lower, rel=1e-7)


class Scaled(nn.Module):
    """A buffer that stands before the tensor, as the first argument, between linear layers."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(3, 4), nn.Linear(4, 2)
        self.register_buffer("scale", torch.tensor([1.0, -2.0, 3.0, 0.5]))

    def forward(self, x):
        return self.two(self.scale * self.one(x))


def test_constants_between_linear_layers_are_merged_with_them():
    network = Scaled().double()
    product = network.two.weight @ torch.diag(network.scale) @ network.one.weight
    sigma = torch.linalg.matrix_norm(product.detach(), 2).item()
    assert quick(network, (3,)).upper == pytest.approx(sigma, rel=1e-7)


def test_a_cast_between_layers_is_no_change():
    network = nn.Sequential(nn.Linear(3, 3), Fn(lambda x: x.to(torch.float64)), nn.Linear(3, 3))
    assert quick(network, (3,)).layers[0].method == "merged"


class Residual(nn.Module):
    def __init__(self, branch):
        super().__init__()
        self.branch = branch

    def forward(self, x):
        return x + self.branch(x)


def test_residual_branches_add():
    branch = nn.Linear(3, 3, bias=False)
    nn.init.eye_(branch.weight)
    bounds = quick(Residual(branch), (3,))
    assert bounds.upper == pytest.approx(2.0)
    assert bounds.lower == pytest.approx(2.0)
    assert bounds.layers[0].share == 0.0


def test_shares_are_elasticities_times_logarithms():
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), Residual(nn.Linear(2, 2)))
    for layer, size in ((network[0], 3.0), (network[2].branch, 4.0)):
        layer.weight.data = size * torch.eye(2)
    shares = {layer.name: layer.share for layer in quick(network, (2,)).layers}
    parts = {"0": math.log(3), "2.branch": 0.8 * math.log(4)}
    for name, part in parts.items():
        assert shares[name] == pytest.approx(part / sum(parts.values()))


@st.composite
def networks(draw):
    """A random small network of chains, residual sums and concatenations, and its width."""
    width = draw(st.integers(1, 3))
    torch.manual_seed(draw(st.integers(0, 10**6)))

    def layer():
        kind = draw(st.sampled_from(["linear", "activation", "residual", "cat", "sort", "scale"]))
        if kind == "activation":
            return copy.deepcopy(draw(st.sampled_from(ACTIVATIONS)))
        if kind == "residual":
            return Residual(nn.Sequential(nn.Linear(width, width), nn.Tanh()))
        if kind == "cat":
            halves = Fn(lambda x, f: torch.cat([x, f(x)], 1), nn.Linear(width, width))
            return nn.Sequential(halves, nn.Linear(2 * width, width))
        if kind == "sort":
            return nn.Sequential(nn.Linear(width, 4), blocks.GroupSort(2), nn.Linear(4, width))
        if kind == "scale":
            return Fn(lambda x: 1.5 * x.flip(1) - 0.2)
        return nn.Linear(width, width)

    return nn.Sequential(*(layer() for _ in range(draw(st.integers(1, 5))))), width


@settings(max_examples=60, deadline=None)
@given(networks(), st.sampled_from(["product", "eclipse"]))
def test_lower_is_below_upper_and_both_bound_differences(drawn, slopes):
    network, width = drawn
    network.eval()
    bounds = quick(network, (width,), slopes=slopes, samples=16, rounds=2)
    assert 0.0 <= bounds.lower <= bounds.upper < math.inf
    exact = copy.deepcopy(network).double()
    x, y = torch.randn(2, 64, width).double() * 3
    with torch.no_grad():
        slopes_seen = (exact(x) - exact(y)).norm(dim=1) / (x - y).norm(dim=1)
    assert slopes_seen.max() <= bounds.upper * (1 + 1e-9)
    if bounds.lower > 1e-6:
        assert jacobian_norm(network, bounds.witness) == pytest.approx(bounds.lower, rel=1e-6)


CRITICS = [("mlp", (2,), 0.1), ("cnn", (1, 8, 8), 0.1), ("resnet", (1, 8, 8), 0.1)]


@pytest.mark.parametrize(("name", "shape", "width"), CRITICS)
def test_the_models_have_finite_bounds(name, shape, width):
    generator, critic = models.build(name, shape, latent_dim=4, width=width)
    bounds = quick(critic, shape)
    assert 0.0 < bounds.lower <= bounds.upper < math.inf
    assert jacobian_norm(critic, bounds.witness) == pytest.approx(bounds.lower, rel=1e-6)
    assert upper(generator.eval(), (4,)) < math.inf
    if name != "mlp":
        assert all("BatchNorm2d" in reason for reason in quick(generator.train(), (4,)).reasons)


def test_kinks_do_not_count_as_slopes():
    # autograd gives 2x − relu(x) + relu(−x) = x the derivative 2 at 0
    network = Fn(lambda x: 2 * x - F.relu(x) + F.relu(-x))
    assert jacobian_norm(network, torch.zeros(1).double()) == 2.0
    bounds = quick(network, (1,), data=torch.zeros(1, 1))
    assert bounds.lower == pytest.approx(1.0)


def test_no_derivative_is_noted():
    class Undifferentiable(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, gradient):
            raise RuntimeError("there is none")

    bounds = quick(Fn(Undifferentiable.apply), (2,))
    assert bounds.lower == 0.0
    assert "there is none" in bounds.notes[0]
    assert bounds.notes[0] in bounds.table()
    assert quick(Fn(torch.relu), (2,)).notes == ()


def test_attention_has_a_lower_bound():
    layer = nn.TransformerEncoderLayer(4, 1, dim_feedforward=8, batch_first=True).eval()
    bounds = quick(layer, (3, 4), samples=12)
    assert 0.0 < bounds.lower < bounds.upper == math.inf
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert jacobian_norm(layer, bounds.witness) == pytest.approx(bounds.lower, rel=1e-6)


def test_data_guides_the_search():
    # flat everywhere but near 1000
    network = Fn(lambda x: F.relu(1 - (x - 1000).abs()))
    assert quick(network, (1,)).lower == 0.0
    assert quick(network, (1,), data=torch.tensor([[1000.3]])).lower == pytest.approx(1.0)


@pytest.mark.parametrize("wrap", [spectral_norm, weight_norm, nn.utils.spectral_norm])
def test_parametrized_weights_are_read(wrap):
    network = nn.Sequential(wrap(nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 1))
    network(torch.randn(2, 4)).sum().backward()
    bounds = quick(network, (4,))
    assert 0.0 < bounds.lower <= bounds.upper < math.inf
    sigma = torch.linalg.matrix_norm(network.eval()[0].weight.detach().double(), 2).item()
    assert bounds.layers[0].sigma == pytest.approx(sigma, rel=1e-6)


def test_nothing_about_the_module_or_the_generator_changes():
    network = nn.Sequential(
        spectral_norm(nn.Linear(4, 6)), nn.BatchNorm1d(6), nn.Dropout(), nn.ReLU(inplace=True),
        nn.Linear(6, 1),
    )  # fmt: skip
    network[1].eval()
    before = copy.deepcopy(network.state_dict())
    modes = [module.training for module in network.modules()]
    state, data = torch.get_rng_state(), torch.randn(5, 4)
    state, kept = torch.get_rng_state(), data.clone()
    quick(network, (4,), data=data)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(data, kept)
    assert [module.training for module in network.modules()] == modes
    after = network.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert all(p.requires_grad and p.grad is None for p in network.parameters())


def test_a_seed_gives_one_result():
    network = relu_network((2, 5, 1))
    one, two = (quick(network, (2,), seed=3) for _ in range(2))
    assert one.to_dict() == two.to_dict()


def test_registered_rules(monkeypatch):
    monkeypatch.setattr("sngan.lipschitz.modules._registered", {})

    class Cube(nn.Module):
        def forward(self, x):
            return x.clamp(-1, 1) ** 3

    assert upper(Cube(), (2,)) == math.inf

    @lip.register(Cube)
    def cube(layer, input_shape):
        assert isinstance(layer, Cube)
        assert input_shape == (2,)
        return 3.0

    bounds = quick(Cube(), (2,), samples=300)
    assert bounds.upper == 3.0
    assert bounds.layers[0].method == "registered"
    lip.register(torch.exp, lambda function, input_shape: 7.0)
    assert upper(Fn(torch.exp), (2,)) == 7.0
    lip.register(nn.ReLU, lambda layer, input_shape: 2.0)
    assert upper(nn.ReLU(), (2,)) == 2.0
    lip.register(Cube, lambda layer, input_shape: -1.0)
    with pytest.raises(ValueError, match="rule: expected a number of at least 0"):
        upper(Cube(), (2,))
    with pytest.raises(ValueError, match="target: expected a module type or a function"):
        lip.register("relu", cube)
    with pytest.raises(ValueError, match="rule: expected a function"):
        lip.register(Cube, 3.0)


NET = nn.Sequential(nn.Linear(3, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"module": torch.relu}, "module: expected a torch.nn.Module"),
        ({"module": nn.Linear(3, 2, dtype=torch.cfloat)}, "module: expected real floating-point"),
        ({"module": nn.LSTM(3, 2), "input_shape": (4, 3)}, "module: expected one real tensor"),
        ({"input_shape": (4,)}, "input_shape: expected one that module takes"),
        ({"input_shape": (0,)}, "input_shape: expected positive sizes"),
        ({"input_shape": ()}, "input_shape: expected positive sizes"),
        ({"data": torch.zeros(3)}, "data: expected points of shape"),
        ({"data": torch.zeros(2, 4)}, "data: expected points of shape"),
        ({"data": torch.full((2, 3), math.nan)}, "data: expected finite"),
        ({"slopes": "best"}, "slopes: expected one of"),
        ({"samples": 0}, "samples: expected an integer"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        lipschitz_bounds(**{"module": NET, "input_shape": (3,), **arguments})


def test_the_table_and_the_dictionary():
    bounds = quick(relu_network((2, 3, 1)), (2,))
    lines = bounds.table().splitlines()
    assert lines[0].split() == ["layer", "kind", "sigma", "method", "share"]
    assert len(lines) == 2 + 3 + 1
    data = json.loads(json.dumps(bounds.to_dict(), allow_nan=False))
    assert data["upper"] == bounds.upper
    assert data["witness"] == bounds.witness.tolist()
    assert [layer["kind"] for layer in data["layers"]] == ["Linear", "LeakyReLU", "Linear"]
    assert len(data["layers"][0]["spectrum"]) == 2


# ---- 1-Lipschitz blocks ----

BLOCKS = {
    "MaxMin": (blocks.MaxMin(), (4, 3)),
    "GroupSort": (blocks.GroupSort(3), (6,)),
    "AveragedResidual": (blocks.AveragedResidual(nn.Tanh()), (5,)),
    "InvertibleDownsampling": (blocks.InvertibleDownsampling(2), (3, 4, 4)),
    "wide linear": (blocks.orthogonal_linear(7, 3), (7,)),
    "tall linear": (blocks.orthogonal_linear(3, 7, orthogonal_map="cayley"), (3,)),
    "square linear": (blocks.orthogonal_linear(4, 4, orthogonal_map="matrix_exp"), (4,)),
    "1×1 convolution": (blocks.orthogonal_convolution(4, 6), (4, 3, 3)),
    "strided convolution": (blocks.orthogonal_convolution(1, 3, factor=2), (1, 4, 6)),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_are_one_lipschitz(name):
    block, shape = BLOCKS[name]
    # a step of an optimizer leaves the orthogonal ones orthogonal
    for parameter in block.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    bounds = quick(block, shape)
    assert bounds.upper == pytest.approx(1.0, abs=1e-5)
    assert 0.9 <= bounds.lower <= bounds.upper
    x, y = torch.randn(2, 50, *shape)
    with torch.no_grad():
        ratio = (block(x) - block(y)).flatten(1).norm(dim=1) / (x - y).flatten(1).norm(dim=1)
    assert ratio.max() <= 1 + 1e-5


def test_sorting_keeps_the_norm_of_gradients():
    x = torch.randn(3, 8, 2, requires_grad=True)
    out = blocks.MaxMin()(x)
    assert torch.equal(out[:, 0::2], torch.minimum(x[:, 0::2], x[:, 1::2]))
    assert torch.equal(out[:, 1::2], torch.maximum(x[:, 0::2], x[:, 1::2]))
    direction = torch.randn_like(out)
    (gradient,) = torch.autograd.grad(out, x, direction)
    assert gradient.norm() == pytest.approx(direction.norm().item())
    with pytest.raises(ValueError, match="x: expected a multiple of 3 channels"):
        blocks.GroupSort(3)(x)


def test_a_strided_orthogonal_convolution_is_a_convolution():
    block = blocks.orthogonal_convolution(2, 8, factor=2)
    x = torch.randn(1, 2, 4, 4)
    weight = block[1].linear.weight.unflatten(1, (2, 2, 2))
    expected = F.conv2d(x, weight, block[1].linear.bias, stride=2)
    torch.testing.assert_close(block(x), expected)
    # as many outputs as inputs: an isometry
    with torch.no_grad():
        change = block(x) - block(0 * x)
    assert change.norm() == pytest.approx(x.norm().item(), rel=1e-5)


# ---- pictures ----


def test_pictures_are_written(tmp_path):
    network = nn.Sequential(nn.Linear(2, 4), nn.LeakyReLU(2.0), nn.Linear(4, 1))
    bounds = quick(network, (2,))
    lip.plot_layers(bounds, tmp_path / "layers.png")
    lip.plot_layers(quick(Fn(torch.exp), (2,)), tmp_path / "infinite.png")
    x, direction = torch.zeros(2), torch.ones(2)
    lip.plot_cone(network, x, direction, bounds.upper, tmp_path / "cone.png")
    for name in ("layers", "infinite", "cone"):
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match="direction: expected"):
        lip.plot_cone(network, x, torch.zeros(2), 1.0, tmp_path / "no.png")
    with pytest.raises(ValueError, match="module: expected one number a sample"):
        lip.plot_cone(nn.Identity(), x, direction, 1.0, tmp_path / "no.png")
