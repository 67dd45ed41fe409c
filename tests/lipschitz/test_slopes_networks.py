"""Bounds by slopes of whole networks: above all slopes found, tight, with notes on fallbacks."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sngan.lipschitz import blocks, lipschitz_bounds


class Residual(nn.Module):
    def __init__(self, width, activation):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, width), activation, nn.Linear(width, width))

    def forward(self, x):
        return x + self.inner(x)


class Maxout(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Linear(inputs, 2 * outputs)

    def forward(self, x):
        return torch.maximum(*self.linear(x).chunk(2, 1))


class Dense(nn.Module):
    """A network whose activation is read twice, together with its input."""

    def __init__(self, width):
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(2 * width, width)

    def forward(self, x):
        z = self.first(x)
        h = F.gelu(z)
        return self.second(torch.cat([h, x], 1)) - 0.3 * z * torch.ones(1) + h


class Forgets(nn.Module):
    """A network with a detached branch."""

    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return F.relu(self.linear(x).detach()) + x


def between(*layers, width=8, inputs=4):
    return nn.Sequential(nn.Linear(inputs, width), *layers, nn.Linear(width, 1)), (inputs,)


def convolutional(activation=nn.ReLU, *, channels=1, pool=None):
    layers = [
        nn.Conv2d(channels, 4, 3, padding=1), activation(), *([pool] if pool else []),
        nn.Conv2d(4, 6, 4, stride=2, padding=1), activation(), nn.Flatten(), nn.LazyLinear(1),
    ]  # fmt: skip
    network = nn.Sequential(*layers)
    network(torch.zeros(1, channels, 4, 4))
    return network, (channels, 4, 4)


CLASSES = {
    "ReLU": lambda: between(nn.ReLU(), nn.Linear(8, 8), nn.ReLU()),
    "GELU and tanh": lambda: between(nn.GELU(), nn.Linear(8, 8), nn.Tanh()),
    "MaxMin": lambda: between(blocks.MaxMin(), nn.Linear(8, 8), blocks.MaxMin()),
    "GroupSort": lambda: between(blocks.GroupSort(4), nn.Linear(8, 8), blocks.GroupSort(8)),
    "residual": lambda: between(Residual(8, nn.ReLU()), Residual(8, nn.LeakyReLU(0.2))),
    "averaged": lambda: between(blocks.AveragedResidual(Residual(8, blocks.MaxMin())), nn.ReLU()),
    "maxout": lambda: between(Maxout(8, 8), Maxout(8, 8)),
    "dense": lambda: between(Dense(8), nn.ReLU(), Dense(8)),
    "detached": lambda: between(Forgets(8), nn.ReLU()),
    "softmax": lambda: between(nn.ReLU(), nn.Linear(8, 8), nn.Softmax(1), nn.Linear(8, 8)),
    "convolutions": convolutional,
    "colours": lambda: convolutional(nn.SiLU, channels=3),
    "max pooling": lambda: convolutional(pool=nn.MaxPool2d(2)),
    "average pooling": lambda: convolutional(blocks.MaxMin, pool=nn.AvgPool2d(2)),
}  # fmt: skip


def steepest(network, shape, *, points=400, scales=(0.3, 1.0, 3.0, 10.0, 30.0)):
    """The largest slope between random neighbours, along gradients if there are any."""
    found = 0.0
    for scale in scales:
        x = scale * torch.randn(points, *shape).double()
        x.requires_grad_()
        (direction,) = torch.autograd.grad(network(x).sum(), x)
        size = direction.flatten(1).norm(dim=1)
        step = 1e-6 * direction / size.clamp_min(1e-30).view(-1, *[1] * len(shape))
        with torch.no_grad():
            change = (network(x + step) - network(x - step)).flatten(1).norm(dim=1)
        length = 2 * step.flatten(1).norm(dim=1)
        found = max(found, (change / length.clamp_min(1e-30)).max().item())
    return found


def upper(network, shape, slopes):
    return lipschitz_bounds(network, shape, slopes=slopes, samples=1, rounds=0)


def check(name, seed, kinds):
    torch.manual_seed(seed)
    network, shape = CLASSES[name]()
    network = network.double().eval()
    found = steepest(network, shape)
    for kind in kinds:
        bounds = upper(network, shape, kind)
        assert found <= bounds.upper * (1 + 1e-7)
        assert bounds.upper <= bounds.product


# their layers have a quick case in the test of contractions below, or a quick one of their kind
SLOW = ("MaxMin", "averaged", "maxout", "colours", "average pooling")
# both kinds read the same slopes of a network; the search of the second one takes a second
SLOW_SEARCH = (*SLOW, "GELU and tanh", "GroupSort", "dense", "detached", "convolutions")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(name, kind, marks=[pytest.mark.slow] * (name in slow))
        for kind, slow in (("eclipse", SLOW), ("sdp", SLOW_SEARCH))
        for name in CLASSES
    ],
)
def test_bounds_are_above_the_slopes_found(name, kind):
    check(name, 3, [kind])


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_bounds_are_above_the_slopes_found_in_hundreds_of_networks(name):
    for seed in (0, 1, 2, *range(4, 40)):
        check(name, seed, ["eclipse", "sdp"] if seed < 10 else ["eclipse"])


@pytest.mark.usefixtures("full_effort")
@pytest.mark.parametrize(
    ("name", "closed", "best"),
    [
        ("MaxMin", 0.9, 0.75), ("averaged", 0.9, 0.8), ("maxout", 0.95, 0.85),
        ("average pooling", 0.8, 0.7),
        pytest.param("residual", 0.6, 0.45, marks=pytest.mark.slow),
        pytest.param("dense", 0.7, 0.6, marks=pytest.mark.slow),
        pytest.param("convolutions", 0.7, 0.55, marks=pytest.mark.slow),
        pytest.param("colours", 0.7, 0.6, marks=pytest.mark.slow),
        pytest.param("max pooling", 0.95, 0.9, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_operations_with_contractions_get_bounds_below_the_product(name, closed, best):
    torch.manual_seed(0)
    network, shape = CLASSES[name]()
    product = upper(network, shape, "product").upper
    assert upper(network, shape, "eclipse").upper <= closed * product
    assert upper(network, shape, "sdp").upper <= best * product


@pytest.mark.slow
@pytest.mark.parametrize("make", [blocks.MaxMin, lambda: Residual(32, nn.ReLU())])
def test_the_gap_of_the_networks_of_the_paper_size(make):
    torch.manual_seed(0)
    network, shape = between(make(), nn.Linear(32, 32), make(), width=32, inputs=8)
    network = network.double()
    found = steepest(network, shape, points=200_000)
    bounds = upper(network, shape, "sdp")
    assert bounds.method == "sdp"
    assert found <= bounds.upper <= 1.3 * found


def notes(bounds):
    """The notes, after a check that the table and the JSON have them, too."""
    kept = json.loads(json.dumps(bounds.to_dict()))["notes"]
    assert kept == list(bounds.notes)
    assert all(note in bounds.table() for note in bounds.notes)
    return " ".join(kept)


@pytest.mark.parametrize("slopes", ["eclipse", "sdp"])
def test_a_fallback_to_the_product_gives_a_reason(slopes):
    affine = upper(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), (3,), slopes)
    assert affine.method == "product"
    assert f"slopes='{slopes}' was asked for, but the product counts: the network is affine" in (
        notes(affine)
    )
    wide = upper(nn.Sequential(nn.Linear(3, 1100), nn.ReLU(), nn.Linear(1100, 1)), (3,), slopes)
    assert wide.method == "product"
    assert "1100 values, more than 1024" in notes(wide)
    isometry = [blocks.orthogonal_linear(4, 4), blocks.MaxMin(), blocks.orthogonal_linear(4, 4)]
    tight = upper(nn.Sequential(*isometry), (4,), slopes)
    assert tight.method == "product"
    assert "is not smaller" in notes(tight)


def test_the_product_itself_needs_no_note():
    network, shape = CLASSES["ReLU"]()
    assert "slopes" not in notes(upper(network, shape, "product"))
    assert "slopes" not in notes(upper(network, shape, "sdp"))


def test_the_last_part_counts_where_the_first_is_too_large():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(3, 1100), nn.ReLU(), nn.Linear(1100, 16), nn.ReLU(), nn.Linear(16, 16),
        nn.ReLU(), nn.Linear(16, 1),
    ).double()  # fmt: skip
    bounds = upper(network, (3,), "sdp")
    assert bounds.method == "sdp"
    assert steepest(network, (3,)) <= bounds.upper <= 0.9 * bounds.product
    assert "slopes='sdp' covers a part" in notes(bounds)
    assert "1100 values" in notes(bounds)


def test_values_inside_a_merged_chain_count_with_their_own_constant():
    # the smallest cut is inside two linear layers that the product merges
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(2, 1100), nn.ReLU(), nn.Linear(1100, 2), nn.Linear(2, 16), nn.ReLU(),
        nn.Linear(16, 1),
    ).double()  # fmt: skip
    with torch.no_grad():
        network[2].weight.mul_(100)
        network[3].weight.mul_(0.01)
    bounds = upper(network, (2,), "eclipse")
    assert steepest(network, (2,)) <= bounds.upper <= bounds.product


def test_a_proof_that_fails_leaves_the_product(monkeypatch):
    monkeypatch.setattr("sngan.lipschitz.slopes.bound.proved_bound", lambda *_: None)
    network, shape = CLASSES["ReLU"]()
    bounds = upper(network, shape, "sdp")
    assert bounds.method == "product"
    assert bounds.upper == bounds.product
    assert "no multipliers pass the check of their proof" in notes(bounds)
    assert math.isfinite(bounds.upper)
