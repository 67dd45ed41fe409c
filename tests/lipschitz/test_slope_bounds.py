"""Proofs by slopes against every pattern of activity."""

import pytest
import torch

from helpers.networks import over_patterns, quick, relu_network

QUICK = ((2, 6, 1), 0.0), ((2, 5, 5, 1), 0.0), ((3, 4, 3, 3, 2), -0.3)
CASES = [
    pytest.param(sizes, slope, marks=[pytest.mark.slow] * ((sizes, slope) not in QUICK))
    for sizes in ((2, 6, 1), (2, 5, 5, 1), (3, 4, 3, 3, 2))
    for slope in (0.0, 0.1, -0.3, 2.0)
]


@pytest.mark.parametrize(("sizes", "slope"), CASES)
@pytest.mark.parametrize(
    "seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
)
def test_proofs_hold_against_every_pattern_of_activity(sizes, slope, seed):
    torch.manual_seed(seed)
    network = relu_network(sizes, slope)
    # the proof by slopes also covers patterns that no input reaches
    worst = over_patterns(network, slope)
    found = {kind: quick(network, sizes[:1], slopes=kind) for kind in ("product", "eclipse", "sdp")}
    for bounds in found.values():
        assert bounds.upper >= worst * (1 - 1e-12)
        assert bounds.lower <= worst * (1 + 1e-9)
    assert found["sdp"].upper <= found["eclipse"].upper <= found["product"].upper
    assert found["sdp"].upper < found["product"].upper


def test_badly_scaled_layers_keep_the_proof():
    network = relu_network((3, 6, 6, 1))
    with torch.no_grad():
        network[0].weight.mul_(1e-7)
        network[2].weight.mul_(1e9)
        network[2].weight[0] *= 1e-6
    bounds = quick(network, (3,), slopes="sdp")
    assert over_patterns(network, 0.0) <= bounds.upper <= bounds.product
