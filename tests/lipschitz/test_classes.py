"""Certified radii: closed forms, attacks that must fail, and class-pair constants."""

import copy
import math

import pytest
import torch
from torch import nn

import sngan
from helpers.networks import Fn, Residual
from sngan.lipschitz import class_constants, lipschitz_bounds, projected_gradient
from sngan.lipschitz.blocks import GroupSort


def mlp(classes=3, width=12):
    return nn.Sequential(
        *(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()),
        nn.Linear(width, classes),
    )


NETWORKS = {
    "mlp": (mlp, (4,)),
    "linear": (lambda: nn.Linear(4, 3), (4,)),
    "residual": (
        lambda: nn.Sequential(Residual(nn.Sequential(nn.Linear(4, 4), nn.ReLU())), nn.Linear(4, 3)),
        (4,),
    ),
    "sorting": (lambda: nn.Sequential(nn.Linear(4, 6), GroupSort(2), nn.Linear(6, 3)), (4,)),
    "convolution": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(12, 4),
        ),
        (1, 4, 4),
    ),
    "ends with an activation": (lambda: nn.Sequential(nn.Linear(4, 3), nn.Tanh()), (4,)),
    "shared rows": (
        lambda: nn.Sequential(nn.Linear(4, 8), nn.Tanh(), Fn(lambda x: torch.cat([x, x], 1))),
        (4,),
    ),
}


def steepest_pairs(module, shape, points=400):
    """The largest gradient norms of the differences of outputs on random points."""
    module = module.double()
    best = None
    for scale in (0.1, 1.0, 5.0):
        x = (scale * torch.randn(points, *shape, dtype=torch.float64)).requires_grad_()
        out = module(x)
        classes = out.shape[1]
        rows = [
            torch.autograd.grad(out[:, i].sum(), x, retain_graph=True)[0].flatten(1)
            for i in range(classes)
        ]
        grads = torch.stack(rows, 1)
        found = (grads[:, :, None] - grads[:, None]).norm(dim=-1).amax(0)
        best = found if best is None else torch.maximum(best, found)
    return best


@pytest.mark.parametrize("slopes", ["product", "eclipse"])
@pytest.mark.parametrize("name", NETWORKS)
def test_pair_constants_lie_between_the_slopes_and_the_whole_bound(name, slopes):
    make, shape = NETWORKS[name]
    module = make()
    constants = class_constants(module, shape, slopes=slopes)
    whole = lipschitz_bounds(module, shape, slopes=slopes, lower=False).upper
    assert bool((constants <= math.sqrt(2) * whole * (1 + 1e-12)).all())
    assert bool((constants >= steepest_pairs(module, shape) * (1 - 1e-9)).all())
    assert torch.equal(constants, constants.T)
    assert not constants.diagonal().any()


def test_pair_constants_of_a_linear_map_are_exact():
    layer = nn.Linear(5, 4)
    weight = layer.weight.detach().double()
    exact = (weight[:, None] - weight).norm(dim=-1)
    torch.testing.assert_close(class_constants(layer, (5,)), exact, rtol=1e-9, atol=1e-9)


def test_equal_rows_have_a_constant_near_zero():
    network = mlp(4)
    with torch.no_grad():
        network[4].weight[1] = network[4].weight[0]
    assert class_constants(network, (4,))[0, 1] < 1e-4


def test_radii_in_closed_form():
    logits = torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 4.0]])
    radii = sngan.certified_radius(logits, 2.0)
    expected = torch.tensor([2.0, 0.0, 3.0], dtype=torch.float64) / (2 * math.sqrt(2))
    torch.testing.assert_close(radii, expected, rtol=1e-12, atol=0.0)
    pairs = torch.tensor([[0.0, 1.0, 3.0], [1.0, 0.0, 6.0], [3.0, 6.0, 0.0]])
    found = sngan.certified_radius(logits, pairs).tolist()
    assert found == pytest.approx([1.0, 0.0, 0.5], rel=1e-12)
    assert sngan.certified_radius(torch.tensor([[-3.0], [1.0]]), 2.0).tolist() == pytest.approx(
        [1.5, 0.5], rel=1e-12
    )
    # four times the rounding error is taken from the margin
    rounded = sngan.certified_radius(logits, pairs, rounding=torch.tensor([0.25, 0.0, 1.0]))
    assert rounded.tolist() == pytest.approx([2 / 3, 0.0, 0.0], rel=1e-12)
    assert sngan.certified_radius(logits[:1], 0.0).tolist() == [math.inf]
    assert sngan.certified_radius(logits[1:2], 0.0).tolist() == [0.0]


@pytest.mark.parametrize(
    ("logits", "lipschitz", "name"),
    [
        (torch.ones(2, 3), -1.0, "lipschitz"),
        (torch.ones(2, 3), math.nan, "lipschitz"),
        (torch.ones(2, 3), torch.ones(2, 2), "lipschitz"),
        (torch.ones(2, 3), "1", "lipschitz"),
        (torch.tensor([[math.nan, 1.0]]), 1.0, "logits"),
        (torch.ones(2, 3, 4), 1.0, "logits"),
        (torch.ones(0, 3), 1.0, "logits"),
        ([1.0], 1.0, "logits"),
    ],
)
def test_bad_radii_are_refused(logits, lipschitz, name):
    with pytest.raises(ValueError, match=rf"^{name}: expected"):
        sngan.certified_radius(logits, lipschitz)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"y": torch.tensor([0, 3])}, "y"),
        ({"y": torch.tensor([-1, 0])}, "y"),
        ({"y": torch.tensor([0.0, 1.0])}, "y"),
        ({"y": torch.tensor([0])}, "y"),
        ({"radii": []}, "radii"),
        ({"radii": "0.1"}, "radii"),
        ({"radii": ["a"]}, "radii"),
        ({"radii": [math.nan]}, "radii"),
        ({"radii": [-0.1]}, "radii"),
        ({"x": torch.zeros(2, 5)}, "x"),
        ({"x": torch.full((2, 4), math.inf)}, "x"),
        ({"model": nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))}, "model"),
    ],
)
def test_bad_samples_are_refused(change, name):
    given = {"model": mlp(), "x": torch.zeros(2, 4), "y": torch.tensor([0, 1]), "radii": [0.1]}
    with pytest.raises(ValueError, match=rf"^{name}: expected"):
        sngan.certified_accuracy(**given | change)


def broken(network, shape, count, *, steps):
    """How many of the points lose their class to an attack within their certified radius."""
    x = torch.randn(count, *shape)
    labels = network(x).argmax(1)
    found = sngan.certified_accuracy(network, x, labels, [100.0])
    assert found.clean == 1.0
    radii = found.sample_radii
    assert float((radii > 0).double().mean()) > 0.9
    hit = projected_gradient(network, x, radii.float(), steps=steps)
    assert bool(((hit - x).double().flatten(1).norm(dim=1) <= radii).all())
    # the attack is not idle: with four times the radius it succeeds
    far = projected_gradient(network, x, 4 * radii.float(), steps=steps)
    assert int((network(far).argmax(1) != labels).sum()) > count // 50
    return int((network(hit).argmax(1) != labels).sum())


@pytest.mark.parametrize("name", ["linear", "mlp", "convolution"])
def test_attacks_within_the_certified_radius_fail(name):
    make, shape = NETWORKS[name]
    assert broken(make(), shape, 100, steps=10) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linear", "mlp", "residual", "sorting", "convolution"])
def test_two_thousand_attacks_within_the_certified_radius_fail(name):
    make, shape = NETWORKS[name]
    assert broken(make(), shape, 2000, steps=40) == 0


def test_a_linear_classifier_is_certified_exactly():
    layer = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    x = torch.tensor([[0.5, 3.0], [-0.25, 1.0], [1.0, 0.0]])
    found = sngan.certified_accuracy(
        layer, x, torch.tensor([0, 1, 1]), [0.2, 0.3, 0.6], attack_steps=20
    )
    assert found.sample_radii.tolist() == pytest.approx([0.5, 0.25, 0.0], abs=1e-5)
    assert found.clean == pytest.approx(2 / 3)
    assert found.certified == pytest.approx((2 / 3, 1 / 3, 0.0))
    assert found.attacked == pytest.approx((2 / 3, 1 / 3, 0.0))
    assert "certified" in found.table()


@torch.no_grad()
def test_margins_below_the_rounding_of_float16_have_no_radius():
    computed = mlp().half().eval()
    exact = copy.deepcopy(computed).double()
    x = torch.randn(40, 4).half()
    logits = exact(x.double())
    gap = (computed(x).double() - logits).norm(dim=1)
    assert float(gap.max()) > 0
    with torch.enable_grad():
        found = sngan.certified_accuracy(computed, x, logits.argmax(1), [1e-9])
    margins = logits.topk(2, dim=1).values
    assert not found.sample_radii[margins[:, 0] - margins[:, 1] < gap].any()
    # the bound of the error is not so large that nothing is certified
    assert bool(found.sample_radii.any())
