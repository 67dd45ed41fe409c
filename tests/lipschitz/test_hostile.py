"""Local bounds of networks whose numbers cancel are never below a slope in exact fractions."""

import json
import math
import runpy
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from helpers.exact import exact
from helpers.hostile import attained_slope, hostile_case
from sngan.lipschitz import lipschitz_bounds, verify_certificate

VERIFY = Path(__file__).parents[2] / "examples" / "verify.py"
# each of these was below a slope before rounding errors were carried through the graph
FOUND = (13, 99, 124, 180, 260, 297, 344)


def bounds_of(case, **options):
    return lipschitz_bounds(
        case.module, (case.inputs,), **{"lower": False, **case.arguments, **options}
    )


def holds(upper, slope):
    return math.isinf(upper) or Fraction(upper) >= slope


@pytest.mark.parametrize("seed", FOUND)
def test_a_bound_that_was_too_small_holds(seed):
    case = hostile_case(seed)
    assert holds(bounds_of(case).upper, attained_slope(case)), case.text


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 1000, 50))
def test_no_bound_is_below_a_slope(start):
    for seed in range(start, start + 50):
        case = hostile_case(seed)
        assert holds(bounds_of(case).upper, attained_slope(case)), (seed, case.text)


def test_the_error_inside_a_layer_counts():
    """The second layer subtracts values of 1e12 from each other, and has a slope of about 1."""
    first, second = nn.Linear(1, 2).double(), nn.Linear(2, 1).double()
    first.weight.data[:], first.bias.data[:] = 1.0, 0.0
    missed = 0
    for place in range(12):
        big = 1e12 * (1 + place / 7)
        second.weight.data = torch.tensor([[big, 0.91 - big]], dtype=torch.float64)
        second.bias.data[:] = 0.0
        centre = torch.tensor([0.3 + place / 11], dtype=torch.float64)
        network = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
        with torch.no_grad():
            # in exact arithmetic, the value at the centre is above 0 or near it
            second.bias.data -= network[:3](centre[None])[0]
        point = [Fraction(float(centre)) + Fraction(9, 10**8)]
        slope = exact(network, point).jacobian[0, 0]
        found = lipschitz_bounds(network, (1,), lower=False, center=centre, radius=1e-7).upper
        assert Fraction(found) >= slope
        missed += slope == 0
    assert missed < 12


def file_is_true(path, case, slope):
    """Check a certificate by the library and by the script; true ones have an upper bound."""
    found = verify_certificate(path, case.module)
    assert holds(found.upper, slope), case.text
    document = json.loads(path.read_text())
    assert document["claim"]["upper"] == found.upper


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 200, 20))
def test_saved_certificates_of_hostile_networks_are_true(start, tmp_path):
    path, weights = tmp_path / "certificate.json", tmp_path / "weights.npz"
    main, accepted = runpy.run_path(str(VERIFY))["main"], 0
    for seed in range(start, start + 20):
        case = hostile_case(seed)
        slope = attained_slope(case)
        for options in ({}, {"center": None, "radius": None, "box": None}):
            bounds = bounds_of(case, **options)
            if math.isinf(bounds.upper):
                continue
            bounds.save(path)
            file_is_true(path, case, slope)
            state = case.module.state_dict().items()
            np.savez(weights, **{key: value.numpy() for key, value in state})
            try:
                main(path, weights)
            except SystemExit:
                continue
            # the script knows the Euclidean norm and all inputs
            document = json.loads(path.read_text())
            assert document["claim"]["domain"] == "all inputs"
            assert case.norm != "2" or holds(document["claim"]["upper"], slope)
            accepted += 1
    assert accepted >= 0
