"""Operations without a constant give a reason, and changes that are easily overlooked are seen."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.networks import (
    Fn,
    Residual,
    quick,
    upper,
)

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


@pytest.mark.parametrize("name", UNBOUNDED)
def test_operations_without_a_constant_give_a_reason(name):
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


def test_an_overridden_forward_does_not_get_the_constant_of_its_base():
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


def test_linear_layers_are_not_merged_across_an_activation_in_place():
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
