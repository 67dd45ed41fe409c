"""Operator norms against the dense SVD of the layer's matrix."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.examples import examples
from helpers.maps import truth
from sngan.spectral import certified_norm, operator_norm
from sngan.spectral.operator.geometry import geometry_of
from sngan.spectral.operator.gram_bound import gram_bound
from sngan.spectral.operator.linear_map import linear_map
from sngan.spectral.operator.symbol import Symbol, grid, supremum

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
PROVED = ("upper_bound", "gram")


def norm(layer: nn.Module, shape: tuple[int, ...], method: str) -> float:
    return operator_norm(layer, shape, method=method).item()


@st.composite
def layers(draw):
    dim = draw(st.sampled_from([1, 2, 2, 2, 3]))
    sizes = st.integers(2, 4 if dim == 3 else 7)
    size = tuple(draw(sizes) for _ in range(dim))
    kernel = tuple(draw(st.integers(1, 3 if dim == 3 else 4)) for _ in range(dim))
    stride = tuple(draw(st.integers(1, 3)) for _ in range(dim))
    dilation = tuple(draw(st.integers(1, 2)) for _ in range(dim))
    groups = draw(st.integers(1, 2))
    inputs, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    transposed = draw(st.booleans()) and draw(st.booleans())
    options = {"groups": groups, "dilation": dilation, "stride": stride}
    if transposed:
        options["padding"] = tuple(draw(st.integers(0, (k - 1) // 2)) for k in kernel)
        extra = [draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)]
        layer = TRANSPOSED[dim](inputs, outputs, kernel, output_padding=tuple(extra), **options)
    else:
        mode = draw(st.sampled_from(["zeros", "circular", "reflect", "replicate"]))
        most = [n - 1 if mode == "reflect" else n for n in size]
        padding = tuple(draw(st.integers(0, min(3, m))) for m in most)
        # the window must fit
        size = tuple(
            max(n, d * (k - 1) + 1 - 2 * p)
            for n, d, k, p in zip(size, dilation, kernel, padding, strict=True)
        )
        layer = CONVOLUTIONS[dim](
            inputs, outputs, kernel, padding=padding, padding_mode=mode, **options
        )
    torch.manual_seed(draw(st.integers(0, 2**16)))
    kind = draw(st.sampled_from(["gaussian", "ones", "sparse"]))
    with torch.no_grad():
        if kind == "ones":
            layer.weight.fill_(1.0)
        else:
            layer.weight.normal_()
            if kind == "sparse":
                layer.weight.mul_(torch.rand_like(layer.weight) < 0.4)
    return layer, (inputs, *size)


def check_layer(layer, shape):
    true = truth(layer, shape)
    room = 1e-9 * true + 1e-12
    for method in PROVED:
        assert norm(layer, shape, method) >= true - room
    assert norm(layer, shape, "exact") == pytest.approx(true, rel=1e-8, abs=1e-9)
    assert certified_norm(layer, shape).norm == pytest.approx(true, rel=1e-8, abs=1e-9)
    assert norm(layer, shape, "estimate") <= true + room


@settings(
    max_examples=examples(150),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(layers())
def test_every_convolution_against_its_matrix(case):
    check_layer(*case)


@pytest.mark.slow
@settings(
    max_examples=5000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(layers())
def test_thousands_of_convolutions_against_their_matrix(case):
    check_layer(*case)


def all_ones(layer: nn.Module) -> nn.Module:
    with torch.no_grad():
        layer.weight.fill_(1.0)
    return layer


# cases in which bounds from the literature, or their usual form, are below the true norm
BREAKERS = {
    "grouped: the maximum, not a product": (nn.Conv2d(4, 8, 3, padding=1, groups=2), (4, 8, 8)),
    "5×1 kernel": (nn.Conv2d(2, 3, (5, 1), padding=(2, 0)), (2, 9, 4)),
    "circular, stride that does not divide": (
        nn.Conv2d(2, 2, 3, stride=2, padding=1, padding_mode="circular"),
        (2, 5, 5),
    ),
    "circular, padding beyond the kernel": (
        all_ones(nn.Conv1d(1, 1, 3, padding=4, padding_mode="circular")),
        (1, 5),
    ),
    "reflect, all ones": (
        all_ones(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")),
        (1, 6, 6),
    ),
    "reflect, 2p = n − 1: an entry occurs three times": (
        all_ones(nn.Conv1d(1, 1, 3, padding=1, padding_mode="reflect")),
        (1, 3),
    ),
    "replicate, all ones": (
        all_ones(nn.Conv2d(1, 1, 3, padding=3, padding_mode="replicate")),
        (1, 6, 6),
    ),
    "transposed, stride 2": (
        nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1, output_padding=1),
        (3, 5, 4),
    ),
    "dilated with a stride": (nn.Conv1d(2, 2, 3, stride=2, dilation=2, padding=2), (2, 9)),
    "stride longer than the kernel": (nn.Conv2d(2, 2, 2, stride=3), (2, 8, 8)),
    "even kernel, padding 'same'": (nn.Conv2d(2, 3, 4, padding="same"), (2, 6, 5)),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("case", BREAKERS)
def test_cases_built_to_break_a_bound(case):
    layer, shape = BREAKERS[case]
    torch.manual_seed(0)
    check_layer(layer, shape)


def test_the_check_of_a_bound_can_fail():
    """The reshaped kernel's norm, the usual proxy, is below the true norm in the same check."""
    layer = all_ones(nn.Conv2d(1, 1, 3, padding=1))
    reshaped = torch.linalg.svdvals(layer.weight.detach().flatten(1).double())[0]
    assert float(reshaped) < 0.5 * truth(layer, (1, 8, 8))


def test_multiplicity_of_reflect_padding_is_not_two():
    layer, shape = BREAKERS["reflect, 2p = n − 1: an entry occurs three times"]
    assert geometry_of(layer, shape).torus().factor == pytest.approx(math.sqrt(3))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(5, 7), (5,)),
        (nn.Linear(5, 7), (3, 5)),
        (nn.AvgPool1d(3, 2, 1), (2, 8)),
        (nn.AvgPool2d(2), (3, 8, 6)),
        (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (1, 7, 9)),
        (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (1, 8, 9)),
        (nn.AvgPool2d(2, divisor_override=1), (1, 4, 4)),
        (nn.AvgPool3d(2), (1, 4, 4, 4)),
        (nn.LPPool2d(1, 2), (2, 6, 5)),
        (nn.LPPool1d(1, 3, stride=1), (1, 6)),
        (nn.AdaptiveAvgPool2d((3, 2)), (2, 7, 5)),
        (nn.Upsample(scale_factor=2), (2, 5, 4)),
        (nn.Upsample(size=(7, 9), mode="bicubic"), (1, 5, 4)),
        (nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), (1, 5, 4)),
        (nn.ReflectionPad2d(2), (1, 5, 4)),
        (nn.ReplicationPad1d((3, 0)), (2, 4)),
        (nn.CircularPad2d(1), (1, 4, 3)),
        (nn.ZeroPad2d((1, 0, -1, 2)), (1, 5, 5)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_layers_without_a_convolution(layer, shape):
    true = truth(layer, shape)
    assert norm(layer, shape, "exact") == pytest.approx(true, rel=1e-10)
    assert true <= norm(layer, shape, "upper_bound") <= true * (1 + 1e-8)
    assert true * (1 - 1e-9) <= norm(layer, shape, "gram") <= 1.05 * true
    assert norm(layer, shape, "estimate") == pytest.approx(true, rel=1e-2)


def test_batch_norm_is_its_scale():
    layer = nn.BatchNorm2d(3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.5, -3.0, 1.0]))
        layer.running_var.copy_(torch.tensor([1.0, 4.0, 0.01]))
        layer.running_mean.fill_(5.0)
    expected = 1.0 / math.sqrt(0.01 + layer.eps)
    layer.eval()
    assert norm(layer, (3, 4, 4), "exact") == pytest.approx(expected, rel=1e-6)
    assert norm(layer, (3, 4, 4), "estimate") == pytest.approx(expected, rel=1e-6)
    layer.train()
    with pytest.raises(ValueError, match="layer: expected batch norm in eval mode"):
        operator_norm(layer, (3, 4, 4))


@pytest.mark.parametrize(
    ("stride", "mode", "size"), [(1, "zeros", 64), (2, "zeros", 64), (1, "circular", 64)]
)
def test_large_maps_are_bounded_tightly(stride, mode, size):
    """Above the dense limit, the bound exceeds the estimate by at most its stated slack."""
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 12, 3, stride=stride, padding=1, padding_mode=mode)
    bound = certified_norm(layer, (8, size, size))
    below = norm(layer, (8, size, size), "estimate")
    assert below <= bound.norm <= 1.01 * below
    assert bound.method == ("exact" if mode == "circular" else "upper_bound")


@settings(max_examples=examples(60), deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 2]))
def test_branch_and_bound_brackets_the_supremum(seed, height, width, stride):
    """Flat, ridged and peaked symbols, against the maximum over a fine grid."""
    torch.manual_seed(seed)
    weight = torch.randn(1, 2, 2, height, width, dtype=torch.float64)
    if seed % 3 == 0:
        weight.mul_(0.01)[..., 0, 0] += 1
        weight[..., -1, -1] += 1
    symbol = Symbol.of(weight, stride=(stride, stride), dilation=(1, 1))
    found = supremum(symbol)
    fine = float(symbol.norms(grid((256, 256))).max())
    assert found.lower <= found.upper
    assert fine <= found.upper * (1 + 1e-12)
    assert found.upper <= found.lower * (1 + 1.0001e-4)
    assert found.lower <= fine * (1 + 1e-3)


@pytest.mark.parametrize("shape", [(2, 3, 2, 2, 2), (1, 4, 2, 9, 9)])
def test_norms_at_frequencies_are_those_of_the_matrices(shape):
    """The Gram polynomial of small kernels gives the same norms as the matrices of large ones."""
    torch.manual_seed(0)
    symbol = Symbol.of(torch.randn(*shape).double(), stride=(1, 1), dilation=(1, 1))
    frequencies = torch.randn(5, 2, dtype=torch.float64)
    dense = torch.linalg.svdvals(symbol.matrices(frequencies))[..., 0].amax(1)
    torch.testing.assert_close(symbol.norms(frequencies), dense, rtol=1e-10, atol=0)


def test_a_search_that_stops_early_still_bounds(monkeypatch):
    monkeypatch.setattr(Symbol, "affordable_cells", lambda self: 1)
    torch.manual_seed(0)
    symbol = Symbol.of(torch.randn(1, 3, 4, 3, 3).double(), stride=(1, 1), dilation=(1, 1))
    found = supremum(symbol)
    fine = float(symbol.norms(grid((256, 256))).max())
    assert found.lower <= fine <= found.upper
    assert found.upper > 1.01 * found.lower


def test_grid_keeps_one_of_each_mirrored_pair():
    for sides in [(4,), (5,), (3, 4), (2, 3, 5)]:
        kept = grid(sides)
        places = (kept * torch.tensor(sides) / (2 * torch.pi)).round().long()
        both = {tuple(p) for p in places.tolist()}
        both |= {tuple((-a) % n for a, n in zip(p, sides, strict=True)) for p in places.tolist()}
        assert len(both) == math.prod(sides)
        assert len(kept) <= math.prod(sides) / 2 + 2 ** len(sides)


def test_gram_is_differentiable_and_its_gradient_is_right():
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 3, padding=1).double()
    bound = operator_norm(layer, (2, 24, 24), method="gram")
    (gradient,) = torch.autograd.grad(bound, layer.weight)
    direction = torch.randn_like(layer.weight)
    values = []
    for step in (1e-5, -1e-5):
        moved = nn.Conv2d(2, 3, 3, padding=1).double()
        with torch.no_grad():
            moved.weight.copy_(layer.weight + step * direction)
        values.append(norm(moved, (2, 24, 24), "gram"))
    expected = (values[0] - values[1]) / 2e-5
    assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-200, 1e-3, 1.0, 1e100])
def test_gram_iteration_does_not_overflow(scale):
    torch.manual_seed(0)
    matrix = torch.randn(7, 4, dtype=torch.float64) * scale
    true = float(torch.linalg.svdvals(matrix)[0])
    assert true <= float(gram_bound(matrix)) * (1 + 1e-12) <= 1.01 * true
    assert 1.01 * true < float(gram_bound(matrix, iterations=0)) <= 4**0.25 * true


# the true norm on 32² inputs divided by the norm of the reshaped kernel
RATIOS = {
    "Gaussian 3×3, 64→128": (nn.Conv2d(64, 128, 3, padding=1), "gaussian", 1.68, 0.03),
    "orthogonal 3×3, 64→128": (nn.Conv2d(64, 128, 3, padding=1), "orthogonal", 2.24, 0.04),
    "all-ones 3×3": (nn.Conv2d(1, 1, 3, padding=1), "ones", 2.98, 0.01),
    "Gaussian 4×4 stride 2, 64→128": (
        nn.Conv2d(64, 128, 4, stride=2, padding=1),
        "gaussian",
        1.28,
        0.03,
    ),
    "1×1": (nn.Conv2d(16, 24, 1), "gaussian", 1.0, 1e-6),
}


@pytest.mark.parametrize("case", RATIOS)
def test_how_far_the_reshaped_kernel_falls_below(case):
    layer, kind, expected, room = RATIOS[case]
    torch.manual_seed(0)
    with torch.no_grad():
        if kind == "orthogonal":
            nn.init.orthogonal_(layer.weight)
        elif kind == "ones":
            layer.weight.fill_(1.0)
        else:
            layer.weight.normal_()
    reshaped = torch.linalg.svdvals(layer.weight.detach().flatten(1).double())[0]
    true = certified_norm(layer, (layer.in_channels, 32, 32)).norm
    assert true / float(reshaped) == pytest.approx(expected, abs=room)


def test_a_zero_layer_has_norm_zero():
    layer = nn.Conv2d(2, 2, 3, padding=1)
    nn.init.zeros_(layer.weight)
    for method in ("exact", "upper_bound", "gram", "estimate"):
        assert 0 <= norm(layer, (2, 40, 40) if method != "exact" else (2, 5, 5), method) < 1e-100


def test_nothing_is_changed():
    layer = nn.Sequential(nn.Conv2d(2, 2, 3)).train()
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    rng = torch.get_rng_state()
    for method in ("exact", "upper_bound", "gram", "estimate"):
        operator_norm(layer[0], (2, 5, 5), method=method)
    assert torch.equal(rng, torch.get_rng_state())
    assert layer[0].training
    assert all(torch.equal(v, before[k]) for k, v in layer.state_dict().items())
    assert layer[0].weight.grad is None


def test_the_adjoint_is_the_adjoint():
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 3, stride=2, padding=2, padding_mode="reflect")
    linear = linear_map(layer, (2, 6, 7))
    x = torch.randn(2, 2, 6, 7, dtype=torch.float64)
    y = torch.randn(2, *linear.output_shape, dtype=torch.float64)
    left = (linear.forward(x) * y).sum()
    assert float(left) == pytest.approx(float((x * linear.adjoint(y)).sum()), rel=1e-12)


def complex_layer() -> nn.Module:
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(torch.ones(2, 2, dtype=torch.complex64))
    return layer


def broken_layer() -> nn.Module:
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.weight, math.nan)
    return layer


@pytest.mark.parametrize(
    ("layer", "shape", "method", "message"),
    [
        (nn.ReLU(), (3,), "exact", "layer: expected Linear, .* got ReLU, which has no linear form"),
        (nn.LPPool2d(2, 2), (1, 4, 4), "exact", "layer: expected sum pooling, norm_type 1, got"),
        (nn.MaxPool2d(2), (1, 4, 4), "exact", "layer: expected .* got MaxPool2d"),
        (nn.Conv2d(3, 4, 3), (1, 8, 8), "gram", r"input_shape: expected \(3, height, width\) for"),
        (nn.Conv2d(3, 4, 3), (3, 8), "gram", r"input_shape: expected \(3, height, width\) for"),
        (
            nn.Conv2d(3, 4, 3),
            (3, 2, 2),
            "gram",
            r"input_shape: expected one that fits Conv2d.*2, 2",
        ),
        (nn.Linear(3, 4), (5,), "exact", r"input_shape: expected \(\.\.\., 3\) for Linear, got"),
        (nn.Linear(3, 4), (3,), "exactly", "method: expected one of .*did you mean exact"),
        (nn.Conv2d(3, 4, 3), (3, 64, 64), "exact", "method: expected 'upper_bound' for a map of"),
        (complex_layer(), (2,), "exact", "layer: expected a real .* got torch.complex64"),
        (broken_layer(), (2,), "gram", "layer: expected finite weights"),
        (nn.AvgPool2d(2), (4, 4), "exact", r"input_shape: expected \(channels, 2 sizes\)"),
    ],
)
def test_bad_input_is_one_clear_line(layer, shape, method, message):
    with pytest.raises(ValueError, match=message):
        operator_norm(layer, shape, method=method)
