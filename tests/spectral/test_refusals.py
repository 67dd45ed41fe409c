"""Refusals: bad input raises an error of one clear line."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm as torch_spectral_norm

from sngan import SpectralNorm


def other_optimizer(layer):
    first = torch.optim.SGD(layer.parameters(), lr=0.1)
    SpectralNorm(layer, first)
    return SpectralNorm(layer, torch.optim.SGD(layer.parameters(), lr=0.1))


def with_sgd(module, **options):
    return SpectralNorm(module, torch.optim.SGD(module.parameters(), lr=0.1), **options)


REFUSED = {
    "two optimizers": (other_optimizer, "without another SpectralNorm"),
    "outside the optimizer": (
        lambda layer: SpectralNorm(layer, torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)),
        "optimizer: expected every trainable weight",
    ),
    "lbfgs": (lambda layer: SpectralNorm(layer, torch.optim.LBFGS(layer.parameters())), "LBFGS"),
    "no optimizer": (lambda layer: SpectralNorm(layer, "adam"), "expected a torch.optim"),
    "kind": (lambda layer: with_sgd(layer, kind="matrx"), "did you mean matrix"),
    "coefficient": (lambda layer: with_sgd(layer, coefficient=0.0), "coefficient: expected"),
    "iterations": (lambda layer: with_sgd(layer, iterations=0), "iterations: expected"),
    "no layer": (lambda layer: with_sgd(nn.Sequential(layer), layers=nn.Conv2d), "layers: exp"),
    "unknown name": (lambda layer: with_sgd(nn.Sequential(layer), layers=["1"]), "layers: exp"),
    "a bare name": (lambda layer: with_sgd(nn.Sequential(layer), layers="0"), "list of names"),
    "no matrix": (
        lambda layer: with_sgd(nn.Sequential(layer, nn.BatchNorm1d(2)), layers=["1"]),
        "a BatchNorm1d",
    ),
    "parametrized": (lambda layer: with_sgd(torch_spectral_norm(layer)), "from_parametrized"),
    "half": (lambda layer: with_sgd(layer.bfloat16()), "float32 or float64"),
    "not parametrized": (
        lambda layer: SpectralNorm.from_parametrized(
            layer, torch.optim.SGD(layer.parameters(), lr=0.1)
        ),
        "torch's spectral normalization",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_argument_expected_and_got(case):
    make, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as error:
        make(nn.Linear(2, 2))
    assert "expected" in str(error.value)
    assert "got" in str(error.value)


def test_tied_weight_read_in_two_ways_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 3, 2), nn.ConvTranspose2d(3, 3, 2))
    model[1].weight = model[0].weight
    with pytest.raises(ValueError, match="its transpose"):
        with_sgd(model)
