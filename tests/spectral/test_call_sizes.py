"""Certificates hold for every size and every form of the calls of a layer."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.examples import examples
from helpers.maps import matrix_of_map
from sngan import SpectralNorm, operator_norm

KINDS = {1: (nn.Conv1d, nn.ConvTranspose1d), 2: (nn.Conv2d, nn.ConvTranspose2d)}


class Calls(nn.Module):
    """One layer, called on slices of its input of several sizes."""

    def __init__(self, layer, sizes, *, output_sizes=None, keyword=False):
        super().__init__()
        self.layer, self.sizes, self.keyword = layer, sizes, keyword
        self.output_sizes = output_sizes or [None] * len(sizes)

    def maps(self):
        """The function of each call, and the shape of its input."""
        for size, output_size in zip(self.sizes, self.output_sizes, strict=True):
            options = {} if output_size is None else {"output_size": list(output_size)}
            name = {"input": None} if self.keyword else {}

            def call(x, options=options, name=name):
                return (
                    self.layer(**dict.fromkeys(name, x), **options)
                    if name
                    else self.layer(x, **options)
                )

            yield call, (self.layer.in_channels, *size)

    def forward(self, x):
        total = 0.0
        for call, (_, *size) in self.maps():
            cut = x
            for axis, length in enumerate(size, start=2):
                cut = cut.narrow(axis, 0, length)
            total = total + call(cut).sum()
        return total


def norms(module):
    """The norm of the matrix of each call."""
    module.double()
    return [
        float(torch.linalg.svdvals(matrix_of_map(call, shape))[0]) for call, shape in module.maps()
    ]


def certified(module, shape, **options):
    optimizer = torch.optim.SGD(module.parameters(), lr=0.0)
    sn = SpectralNorm(module, optimizer, kind="operator", input_shape=shape, **options)
    return sn, sn.certify()


def check(module, shape):
    """Every call is certified, and the largest norm is not far below its bound."""
    _, bounds = certified(module, shape)
    found = norms(module)
    assert max(found) <= max(bounds.values()) * (1 + 1e-12) <= 1 + 1e-12
    assert max(found) >= 0.4
    return found


def test_circular_norms_do_not_grow_with_the_size():
    # sin(2πj/n): at most √3/2 at size 6, 1 at size 4
    layer = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular", bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[[1.0, 0.0, -1.0]]]))
    module = Calls(layer, [(6,), (4,)])
    sn, bounds = certified(module, (1, 6))
    assert bounds["layer"] == pytest.approx(1, rel=1e-5)
    # both sizes are tracked too: σ of the raw weight is 2, not √3
    assert float(sn.sigmas()["layer"]) == pytest.approx(2, rel=1e-4)
    assert norms(module) == pytest.approx([3**0.5 / 2, 1], rel=1e-5)


@st.composite
def called(draw):
    dim = draw(st.sampled_from([1, 1, 2]))
    convolution, transposed = KINDS[dim]
    size = st.tuples(*[st.integers(3, 12 if dim == 1 else 6)] * dim)
    sizes = draw(st.lists(size, min_size=1, max_size=3))
    options = {
        "kernel_size": draw(st.integers(1, 3)),
        "stride": draw(st.integers(1, 3)),
        "dilation": draw(st.integers(1, 2)),
    }
    torch.manual_seed(draw(st.integers(0, 10**6)))
    if draw(st.booleans()):
        mode = draw(st.sampled_from(["zeros", "circular", "circular", "reflect", "replicate"]))
        layer = convolution(2, 2, padding=2, padding_mode=mode, **options)
        output_sizes = None
    else:
        layer = transposed(2, 2, **options)
        least = [
            [
                (n - 1) * options["stride"] + options["dilation"] * (options["kernel_size"] - 1) + 1
                for n in one
            ]
            for one in sizes
        ]
        extra = st.integers(0, options["stride"] - 1)
        output_sizes = [
            None if draw(st.booleans()) else tuple(n + draw(extra) for n in one) for one in least
        ]
    return Calls(layer, sizes, output_sizes=output_sizes, keyword=draw(st.booleans())), dim


@settings(max_examples=examples(60), deadline=None, derandomize=True)
@given(called())
def test_certificates_hold_at_every_call(case):
    module, dim = case
    check(module, (2, *[12] * dim))


@settings(max_examples=examples(40), deadline=None, derandomize=True)
@given(called())
def test_strict_normalization_holds_at_every_call(case):
    module, dim = case
    optimizer = torch.optim.SGD(module.double().parameters(), lr=0.0)
    shape = (2, *[12] * dim)
    SpectralNorm(module, optimizer, kind="operator", input_shape=shape, strict=True)
    assert max(norms(module)) <= 1 + 1e-12


def test_the_output_size_counts():
    torch.manual_seed(0)
    layer = nn.ConvTranspose1d(2, 2, 3, stride=3, padding=1)
    with torch.no_grad():
        # with the default output size, the last tap is cut off
        layer.weight.zero_()[..., -1] = 1.0
    module = Calls(layer, [(1,)], output_sizes=[(3,)])
    check(module, (2, 1))
    usual = operator_norm(layer, (2, 1), method="exact")
    asked = operator_norm(layer, (2, 1), method="exact", output_size=(3,))
    assert float(asked) == pytest.approx(norms(module)[0], rel=1e-9)
    assert float(asked) > 2 * float(usual)


class Unbatched(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.up = nn.Conv2d(1, 3, 3, padding=1), nn.ConvTranspose2d(3, 1, 2, stride=2)
        self.linear = nn.Linear(8, 2)

    def forward(self, x):
        return torch.stack([self.linear(self.up(self.conv(one))[0, 0]) for one in x])


def test_layers_may_be_called_without_a_batch_dimension():
    torch.manual_seed(0)
    module = Unbatched()
    _, bounds = certified(module, (1, 6, 4))
    assert set(bounds) == {"conv", "up", "linear"}
    module.double()
    for layer, shape in ((module.conv, (1, 6, 4)), (module.up, (3, 6, 4)), (module.linear, (8,))):
        found = float(torch.linalg.svdvals(matrix_of_map(layer, shape))[0])
        assert 0.99 < found <= 1 + 1e-12


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular", bias=False)
        self.second = self.first

    def forward(self, x):
        return self.first(x).sum() + self.second(input=x[..., :4]).sum()


def test_a_module_under_two_names_counts_all_calls():
    module = Shared()
    with torch.no_grad():
        module.first.weight.copy_(torch.tensor([[[1.0, 0.0, -1.0]]]))
    _, bounds = certified(module, (1, 6))
    module.double()
    at_four = float(torch.linalg.svdvals(matrix_of_map(module.first, (1, 4)))[0])
    assert at_four <= min(bounds.values()) <= 1
    assert at_four == pytest.approx(1, rel=1e-5)
