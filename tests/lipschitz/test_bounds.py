"""Arguments and results of lipschitz_bounds: registered rules, records and plots."""

import copy
import json
import math
import warnings

import pytest
import torch
from torch import nn

import sngan.lipschitz as lip
from helpers.networks import (
    Fn,
    quick,
    relu_network,
    upper,
)
from sngan.lipschitz import lipschitz_bounds
from sngan.lipschitz.search.budget import SearchBudget, budget_for, flops_of
from sngan.lipschitz.tracing.prepare import prepare


def test_registered_rules(monkeypatch):
    monkeypatch.setattr("sngan.lipschitz.registry.user_rules", {})

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
        ({"input_shape": (4,)}, "input_shape: expected a shape that the module takes"),
        ({"input_shape": (0,)}, "input_shape: expected positive sizes"),
        ({"input_shape": ()}, "input_shape: expected positive sizes"),
        ({"input_shape": 3}, "input_shape: expected positive sizes .* got 3"),
        ({"module": nn.Linear(3, 2, device="meta")}, "module: expected weights that have values"),
        ({"module": torch.jit.script(nn.Linear(3, 2))}, "cannot be traced, give the original"),
        ({"module": nn.Sequential(torch.jit.script(nn.Linear(3, 2)))}, "give the original"),
        (
            {"module": nn.Unflatten(1, (3, 0))},
            "input_shape: expected a shape that the module takes",
        ),
        ({"module": nn.ZeroPad1d((-3, 0))}, "module: expected one real tensor with elements"),
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


def test_the_search_shrinks_with_the_size_of_the_network():
    small = budget_for(prepare(nn.Linear(3, 3), (3,)), samples=None, rounds=None)
    assert (small.samples, small.rounds) == (256, 20)
    layer = nn.Conv2d(16, 64, 3, padding=1)
    module = prepare(layer, (16, 32, 32))
    assert flops_of(module) == 2 * 16 * 64 * 9 * 32 * 32
    large = budget_for(module, samples=None, rounds=None)
    assert 6 <= large.samples == round(256 * 1.5e7 / flops_of(module)) < 256
    assert budget_for(module, samples=100, rounds=7) == SearchBudget(100, 7)


def test_without_a_search_there_is_a_note():
    bounds = lipschitz_bounds(NET, (3,), lower=False, progress=True)
    assert bounds.lower == 0.0 < bounds.upper < math.inf
    assert "no lower bound: none was asked for" in bounds.notes
    assert bounds.witness.shape == (3,)


WEIGHTS = {
    "weight": nn.Linear(3, 3), "bias": nn.Linear(3, 3), "slope": nn.PReLU(),
    "variance": nn.BatchNorm1d(3).eval(), "negative variance": nn.BatchNorm1d(3).eval(),
    "instance norm": nn.InstanceNorm1d(3, track_running_stats=True).eval(),
}  # fmt: skip


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_not_finite_have_a_reason(name, value):
    layer = copy.deepcopy(WEIGHTS[name])
    if hasattr(layer, "running_var"):
        layer.running_var[0] = -1.0 if "negative" in name else math.nan
    else:
        (layer.bias if name == "bias" else layer.weight).data.flatten()[0] = value
    shape = (3, 4) if name == "instance norm" else (3,)
    bounds = quick(layer, shape, samples=9, rounds=1)
    assert bounds.upper == math.inf
    assert "finite" in bounds.reasons[0] or "variance is negative" in bounds.reasons[0]


def test_layers_without_elements():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = nn.Sequential(nn.Linear(3, 0), nn.Linear(0, 2))
    bounds = quick(network, (3,), samples=9, rounds=1)
    assert (bounds.lower, bounds.upper) == (0.0, 0.0)
    with pytest.raises(ValueError, match="module: expected one real tensor with elements"):
        quick(network[0], (3,))
