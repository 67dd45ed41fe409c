"""1-Lipschitz layers of every geometry against dense singular values and finite differences."""

import copy
import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sngan.lipschitz import blocks, lipschitz_bounds
from sngan.lipschitz.blocks.qr import orthonormal

ORTHOGONAL: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "qr, wide": (lambda: blocks.orthogonal_linear(7, 3), (7,)),
    "qr, tall": (lambda: blocks.orthogonal_linear(3, 7), (3,)),
    "cayley, wide": (lambda: blocks.orthogonal_linear(7, 3, orthogonal_map="cayley"), (7,)),
    "cayley, square": (lambda: blocks.orthogonal_linear(4, 4, orthogonal_map="cayley"), (4,)),
    "Cayley convolution": (lambda: blocks.CayleyConv2d(3, 5, 3), (3, 5, 6)),
    "Cayley reduction": (lambda: blocks.CayleyConv2d(5, 2, 1), (5, 3, 3)),
}
AT_MOST_ONE: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "AOL, wide": (lambda: blocks.aol_linear(7, 3), (7,)),
    "AOL, tall": (lambda: blocks.aol_linear(3, 7), (3,)),
    "SLL": (lambda: blocks.SLLLinear(5), (5,)),
    "SLL, more hidden": (lambda: blocks.SLLLinear(4, 9), (4,)),
    "SLL convolution": (lambda: blocks.SLLConv2d(2, 3, 4), (2, 5, 4)),
    "Householder": (lambda: blocks.HouseholderActivation(6), (6, 3)),
    "learned residual": (lambda: blocks.LearnedResidual(blocks.MaxMin()), (4, 2)),
    "batch centering": (lambda: blocks.BatchCentering(3).eval(), (3, 4)),
    "norm pooling": (lambda: blocks.L2NormPool2d(2), (2, 4, 5)),
}
LAYERS = {**ORTHOGONAL, **AT_MOST_ONE}


def moved(layer: nn.Module, *, seed: int = 0, size: float = 0.3) -> nn.Module:
    """The layer in float64 with other parameters, as after some steps of an optimizer."""
    torch.manual_seed(seed)
    for parameter in layer.parameters():
        parameter.data.add_(size * torch.randn_like(parameter))
    return layer.double()


def matrix_at(layer: nn.Module, x: Tensor) -> Tensor:
    """The Jacobian of one sample, (outputs, inputs)."""
    found = torch.autograd.functional.jacobian(lambda one: layer(one[None])[0].flatten(), x)
    return found.flatten(1)


@pytest.mark.parametrize("name", ORTHOGONAL)
@pytest.mark.parametrize("seed", range(3))
def test_all_singular_values_are_one(name, seed):
    make, shape = ORTHOGONAL[name]
    layer = moved(make(), seed=seed)
    values = torch.linalg.svdvals(matrix_at(layer, torch.zeros(shape, dtype=torch.float64)))
    torch.testing.assert_close(values, torch.ones_like(values), rtol=0, atol=1e-9)
    assert lipschitz_bounds(layer, shape, lower=False).upper == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("name", AT_MOST_ONE)
def test_no_slope_is_above_one(name):
    make, shape = AT_MOST_ONE[name]
    layer = moved(make())
    for scale in (0.1, 1.0, 10.0):
        x = scale * torch.randn(shape, dtype=torch.float64)
        assert torch.linalg.matrix_norm(matrix_at(layer, x), 2) <= 1 + 1e-12
    bounds = lipschitz_bounds(layer, shape, rounds=3, samples=16)
    assert bounds.lower <= bounds.upper <= 1 + 1e-8
    assert bounds.lower >= 0.3


def drawn_convolution(seed: int, *, kernel_at_least_stride: bool) -> dict[str, int | str]:
    """The channels, geometry and padding of a random convolution."""
    draw = random.Random(seed)
    groups, stride = draw.choice((1, 1, 2, 3)), draw.choice((1, 1, 2, 3))
    smallest = stride if kernel_at_least_stride else 1
    return {
        "in_channels": groups * draw.randint(1, 3),
        "out_channels": groups * draw.randint(1, 5) * draw.choice((1, stride**2)),
        "kernel_size": draw.randint(smallest, max(4, smallest)),
        "stride": stride,
        "padding": draw.randint(0, 2),
        "padding_mode": draw.choice(("zeros", "circular")),
        "groups": groups,
    }


def is_isometric(options: dict[str, int | str], size: int) -> bool:
    """Whether circular padding joins the edges with no gap, so that the map is orthogonal."""
    padding, kernel, stride = (int(options[k]) for k in ("padding", "kernel_size", "stride"))
    joined = 2 * padding == kernel - stride
    return options["padding_mode"] == "circular" and joined and size % stride == 0


@pytest.mark.parametrize("seed", range(24))
def test_an_orthogonal_convolution_has_norm_one(seed):
    options = drawn_convolution(seed, kernel_at_least_stride=True)
    if seed % 2:
        steps = int(options["kernel_size"]) - int(options["stride"])
        options |= {"padding_mode": "circular", "padding": steps // 2}
        options["kernel_size"] = int(options["stride"]) + 2 * (steps // 2)
    size = 6
    layer = moved(blocks.orthogonal_conv2d(**options, bias=False), seed=seed, size=1.0)
    matrix = matrix_at(layer, torch.zeros(options["in_channels"], size, size).double())
    values = torch.linalg.svdvals(matrix)
    if is_isometric(options, size):
        # a random square matrix may be near to a singular one
        torch.testing.assert_close(values, torch.ones_like(values), rtol=0, atol=1e-6)
    else:
        assert 0.5 < values[0] <= copies_of_a_pixel(options, size) * (1 + 1e-9)
    bound = lipschitz_bounds(layer, (options["in_channels"], size, size), lower=False).upper
    assert values[0] <= bound


def copies_of_a_pixel(options: dict[str, int | str], size: int) -> float:
    """The norm of the padding: circular padding beyond what the kernel needs repeats pixels."""
    padding = int(options["padding"])
    if options["padding_mode"] == "zeros" or not padding:
        return 1.0
    indices = torch.arange(size).repeat(3)[size - padding : 2 * size + padding]
    return float(torch.bincount(indices).max())


@pytest.mark.parametrize("seed", range(24))
def test_an_aol_convolution_has_norm_at_most_one(seed):
    options = drawn_convolution(100 + seed, kernel_at_least_stride=False)
    layer = moved(blocks.aol_conv2d(**options, bias=False), seed=seed, size=1.0)
    matrix = matrix_at(layer, torch.zeros(options["in_channels"], 6, 6).double())
    norm = float(torch.linalg.matrix_norm(matrix, 2))
    assert 0.05 < norm <= copies_of_a_pixel(options, 6) * (1 + 1e-12)


def test_the_stride_counts_in_the_factors_of_aol():
    """Without the positions inside the stride, this kernel would get the norm √2."""
    layer = blocks.aol_conv2d(1, 1, 3, stride=2, padding=0, bias=False).double()
    # the pixels 0 and 2 of a window belong to two windows, and pixel 1 to one
    layer.weight = torch.tensor([[[[1.0, 0, -1], [0, 0, 0], [0, 0, 0]]]]).double()
    matrix = matrix_at(layer, torch.zeros(1, 9, 9).double())
    assert 0.9 < torch.linalg.matrix_norm(matrix, 2) <= 1 + 1e-12


def test_dependent_rows_give_no_norm_above_one():
    for rows in (torch.ones(3, 5), torch.zeros(3, 5), torch.eye(3, 5) * 1e-20):
        weight = orthonormal(rows)
        assert bool(weight.isfinite().all())
        assert torch.linalg.matrix_norm(weight.double(), 2) <= 1 + 1e-5
    hard = torch.diag(10.0 ** -torch.arange(0.0, 4.0, 0.7)) @ torch.randn(6, 40)
    gram = orthonormal(hard) @ orthonormal(hard).mT
    torch.testing.assert_close(gram, torch.eye(6), atol=1e-5, rtol=0)


def test_the_orthogonal_weight_is_the_factor_of_a_qr_decomposition():
    matrix = torch.randn(4, 9, dtype=torch.float64)
    q, r = torch.linalg.qr(matrix.mT)
    torch.testing.assert_close(orthonormal(matrix), (q * r.diagonal().sign()).mT)
    layer = blocks.orthogonal_linear(9, 4).double()
    layer.weight = matrix
    torch.testing.assert_close(layer.weight, (q * r.diagonal().sign()).mT)


@pytest.mark.parametrize("sizes", [(7, 3), (3, 7), (4, 4)])
def test_aol_rescales_the_rows_or_columns_whichever_are_fewer(sizes):
    layer = blocks.aol_linear(*sizes)
    # the first weight has orthonormal rows or columns, and stays as it is
    values = torch.linalg.svdvals(layer.weight)
    torch.testing.assert_close(values, torch.ones_like(values))
    raw = moved(layer).parametrizations["weight"].original.detach()
    is_wide = sizes[0] > sizes[1]
    few = raw if is_wide else raw.T
    sums = torch.tensor([sum(abs(float(a @ b)) for b in few) for a in few], dtype=raw.dtype)
    expected = few / sums.sqrt()[:, None]
    torch.testing.assert_close(layer.weight, expected if is_wide else expected.T)


@pytest.mark.parametrize("padding_mode", ["zeros", "circular"])
@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "groups"),
    [((4, 2), 3, 1, 1), ((2, 2), 3, 2, 1), ((4, 4), 4, 2, 2), ((4, 4), 5, 3, 1), ((6, 3), 1, 1, 3)],
)
def test_aol_of_fewer_outputs_rescales_them(channels, kernel, stride, groups, padding_mode):
    options = {"stride": stride, "groups": groups, "padding_mode": padding_mode}
    layer = moved(blocks.aol_conv2d(*channels, kernel, **options), size=1.0)
    raw = layer.parametrizations["weight"].original.detach()
    ratio = (layer.weight / raw).flatten(1)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    matrix = matrix_at(layer, torch.zeros(channels[0], 6, 6, dtype=torch.float64))
    # a large image has all shifts inside, so that the sums are those of its Gram matrix
    assert 0.3 < torch.linalg.svdvals(matrix)[0] <= 1 + 1e-12
    inside = nn.functional.conv2d(
        torch.eye(channels[0] * 18**2, dtype=torch.float64).reshape(-1, channels[0], 18, 18),
        raw, stride=stride, groups=groups,
    ).flatten(1).T  # fmt: skip
    gram = (inside @ inside.T).abs().sum(1).reshape(channels[1], -1).amax(1)
    torch.testing.assert_close(ratio[:, 0], gram.rsqrt())


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (2, 3, 4), (3, 3)])
def test_the_gradients_of_the_orthogonal_weight_to_second_order(shape):
    matrix = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(orthonormal, matrix)
    assert torch.autograd.gradgradcheck(orthonormal, matrix)


GRADIENT_CASES = {
    **LAYERS,
    "orthogonal convolution": (
        lambda: blocks.orthogonal_conv2d(2, 4, 3, stride=2, groups=2),
        (2, 4, 4),
    ),
    "AOL convolution": (lambda: blocks.aol_conv2d(2, 2, 3, stride=2), (2, 4, 4)),
}


@pytest.mark.parametrize("name", GRADIENT_CASES)
def test_the_gradients_of_all_parameters(name):
    make, shape = GRADIENT_CASES[name]
    layer = moved(make())
    x = torch.randn(2, *shape, dtype=torch.float64, requires_grad=True)
    names, values = (
        zip(*layer.named_parameters(), strict=True) if dict(layer.named_parameters()) else ((), ())
    )

    def run(one: Tensor, *given: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, given, strict=True)), (one,))

    assert torch.autograd.gradcheck(run, (x, *values), fast_mode=True)


@pytest.mark.parametrize("name", GRADIENT_CASES)
def test_a_copy_and_a_saved_state_give_the_same_outputs(name):
    make, shape = GRADIENT_CASES[name]
    layer = moved(make()).float()
    x = torch.randn(2, *shape)
    expected = layer(x)
    assert torch.equal(copy.deepcopy(layer)(x), expected)
    fresh = make()
    fresh.load_state_dict(layer.state_dict())
    assert torch.equal(fresh(x), expected)


@pytest.mark.parametrize("name", GRADIENT_CASES)
def test_under_autocast_the_output_is_near_and_the_weight_is_not_rounded(name):
    make, shape = GRADIENT_CASES[name]
    layer = make()
    x = torch.randn(4, *shape, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        low = layer(x)
        weight = getattr(layer, "weight", None)
        low.float().square().sum().backward()
    assert (low.float() - layer(x)).norm() <= 0.02 * layer(x).norm()
    if weight is not None:
        assert weight.dtype == torch.float32
        assert torch.equal(weight, layer.weight)
    assert all(bool(p.grad.isfinite().all()) for p in layer.parameters() if p.grad is not None)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("name", GRADIENT_CASES)
def test_a_compiled_layer_gives_the_same_outputs_and_gradients(name):
    make, shape = GRADIENT_CASES[name]
    layer = moved(make()).float()
    x = torch.randn(3, *shape, requires_grad=True)
    found: list[list[Tensor]] = []
    for run in (layer, torch.compile(layer, backend="aot_eager")):
        layer.zero_grad()
        out = run(x)
        out.square().sum().backward()
        found.append([out.detach(), *(p.grad for p in layer.parameters() if p.grad is not None)])
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-4)


def test_a_householder_activation_at_a_right_angle_is_max_min():
    x = torch.randn(5, 8, 3)
    larger_first = blocks.HouseholderActivation(8)(x).unflatten(1, (-1, 2)).flip(2).flatten(1, 2)
    torch.testing.assert_close(larger_first, blocks.MaxMin()(x))


def test_batch_centering_in_train_mode_has_no_constant():
    layer = blocks.BatchCentering(3, momentum=0.5)
    x = torch.randn(6, 3, 4) + 2
    out = layer(x)
    torch.testing.assert_close(out.mean((0, 2)), torch.zeros(3))
    torch.testing.assert_close(layer.running_mean, x.mean((0, 2)) / 2)
    bounds = lipschitz_bounds(layer, (3, 4), lower=False)
    assert bounds.upper == float("inf")
    assert "train mode" in bounds.reasons[0]
    torch.testing.assert_close(layer.eval()(x), x - x.mean((0, 2)).reshape(1, 3, 1) / 2)


def test_norm_pooling_with_overlap_attains_its_constant():
    layer = blocks.L2NormPool2d(3, stride=1)
    # one pixel is in nine windows
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 2, 2] = 1.0
    assert (layer(x) - layer(0 * x)).norm() == pytest.approx(3.0)
    assert lipschitz_bounds(layer, (1, 5, 5), lower=False).upper == pytest.approx(3.0)
    zeros = torch.zeros(1, 1, 3, 3, requires_grad=True)
    layer(zeros).sum().backward()
    assert torch.equal(zeros.grad, torch.zeros_like(zeros))
    assert lipschitz_bounds(nn.LPPool2d(2, 2), (1, 4, 4), lower=False).upper == 1.0
    assert lipschitz_bounds(nn.LPPool2d(3, 2), (1, 4, 4), lower=False).upper == float("inf")


BAD: dict[str, Callable[[], object]] = {
    "kernel_size: expected at least the stride, 3, got 2": lambda: blocks.orthogonal_conv2d(
        2, 2, 2, stride=3
    ),
    "in_channels: expected a multiple of groups = 2, got 3": lambda: blocks.aol_conv2d(
        3, 2, 1, groups=2
    ),
    "padding_mode": lambda: blocks.orthogonal_conv2d(2, 2, 3, padding_mode="reflect"),
    "kernel_size: expected an odd number, got 4": lambda: blocks.SLLConv2d(2, 4),
    "at least 3 pixels a side": lambda: blocks.CayleyConv2d(1, 1, 3)(torch.zeros(1, 1, 2, 5)),
    "channels: expected an even number, got 3": lambda: blocks.HouseholderActivation(3),
    "x: expected 2 channels in dimension 1": lambda: blocks.BatchCentering(2)(torch.zeros(1, 3)),
    "momentum": lambda: blocks.BatchCentering(2, momentum=0.0),
    "orthogonal_map": lambda: blocks.orthogonal_linear(2, 2, orthogonal_map="polar"),
}


@pytest.mark.parametrize("message", BAD)
def test_a_bad_argument_is_named(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()


def test_plain_layers_remain_when_the_parametrization_is_removed():
    for layer, shape in [
        (blocks.orthogonal_linear(4, 3), (4,)),
        (blocks.aol_linear(4, 3), (4,)),
        (blocks.orthogonal_conv2d(2, 3, 3), (2, 4, 4)),
    ]:
        x = torch.randn(2, *shape)
        expected = layer(x)
        nn.utils.parametrize.remove_parametrizations(layer, "weight")
        assert type(layer) in (nn.Linear, nn.Conv2d)
        torch.testing.assert_close(layer(x), expected)
