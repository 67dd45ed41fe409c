"""Chains of affine layers as one matrix: never below the exact product, and near it."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from sngan.lipschitz import lipschitz_bounds, verify_certificate


def network_of(weights):
    layers = []
    for weight in weights:
        layers.append(nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64))
        layers[-1].weight = nn.Parameter(weight)
    return nn.Sequential(*layers)


def exact_norm(weights):
    """The norm of the product, which is computed in fractions and rounded once."""
    product = np.eye(weights[0].shape[1], dtype=int).astype(object)
    for weight in weights:
        product = np.vectorize(Fraction)(weight.numpy()) @ product
    return np.linalg.norm(product.astype(float), 2)


def random_chain(seed, *, depth, scale=1.0):
    torch.manual_seed(seed)
    sizes = [3, *torch.randint(2, 7, (depth,)).tolist()]
    return [
        scale * torch.randn(after, before, dtype=torch.float64) / before**0.5
        for before, after in pairwise(sizes)
    ]


def cancelling(seed, *, pairs):
    """Shears and their inverses: the norms multiply to a huge number, and the product is small."""
    torch.manual_seed(seed)
    weights, eye = [], torch.eye(4, dtype=torch.float64)
    for _ in range(pairs):
        shear = eye + 3 * torch.randn(4, 4, dtype=torch.float64).triu(1)
        weights += [shear, torch.linalg.inv(shear) * (1 + 0.1 * torch.randn(()).double())]
    return weights


CHAINS = {
    "short": [random_chain(seed, depth=3) for seed in range(5)],
    "long": [random_chain(seed, depth=40) for seed in range(5)],
    "growing": [random_chain(seed, depth=24, scale=1e8) for seed in range(2)],
    "shrinking": [random_chain(seed, depth=24, scale=1e-8) for seed in range(2)],
    "cancelling": [cancelling(seed, pairs=12) for seed in range(5)],
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_has_the_norm_of_its_product(name):
    for weights in CHAINS[name]:
        network, shape = network_of(weights), (weights[0].shape[1],)
        found = lipschitz_bounds(network, shape, slopes="product", lower=False)
        assert 1 - 1e-12 <= found.upper / exact_norm(weights) <= 1.005


def test_the_bound_of_a_long_chain_is_verified(tmp_path):
    (weights, *_) = CHAINS["cancelling"]
    network = network_of(weights)
    bounds = lipschitz_bounds(network, (4,), lower=False)
    bounds.save(tmp_path / "c.json")
    assert verify_certificate(tmp_path / "c.json", network).upper == bounds.upper
