"""Bounds of random programs against the steepest secants that are found by brute force."""

import math

import pytest
import torch
from torch import Tensor

from helpers.programs import program
from sngan.lipschitz import lipschitz_bounds
from sngan.lipschitz.tracing.prepare import prepare

_HALF = 1e-5


def steepest_secant(run, points: Tensor) -> float:
    """The largest difference quotient along the steepest directions at some points.

    The directions come from finite differences. The quotient is a lower bound for every direction.
    """
    found = 0.0
    for point in points:
        steps = _HALF * torch.eye(point.numel(), dtype=torch.float64).view(-1, 1, *point.shape)
        columns = [run(point + step) - run(point - step) for step in steps]
        jacobian = torch.stack([column.flatten() for column in columns], 1) / (2 * _HALF)
        if not bool(jacobian.isfinite().all()):
            continue
        direction = torch.linalg.svd(jacobian, full_matrices=False)[2][0].view(1, *point.shape)
        ends = run(point + _HALF * direction), run(point - _HALF * direction)
        # room for the rounding of large values, divided by a small step
        room = 1e-14 * float(ends[0].abs().max()) * math.sqrt(ends[0].numel()) / _HALF
        found = max(found, float((ends[0] - ends[1]).norm()) / (2 * _HALF) - room)
    return found


def is_infinite(seed: int) -> bool:
    """Check the bound of one program, and return whether it is infinite."""
    module, shape = program(seed)
    bounds = lipschitz_bounds(module, shape, lower=False, slopes="product")
    said = f"seed {seed}, {module.texts}, {bounds.reasons}"
    assert (bounds.upper == math.inf) == bool(bounds.reasons), said
    if bounds.upper == math.inf:
        return True
    function = prepare(module, shape)
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(3, *shape, generator=generator, dtype=torch.float64)
    points *= torch.tensor([0.1, 1.0, 10.0]).view(-1, *[1] * len(shape))

    def run(point: Tensor) -> Tensor:
        with torch.no_grad():
            return function(point.view(1, *shape).clone())

    steepest = steepest_secant(run, points)
    assert steepest <= bounds.upper * (1 + 1e-6) + 1e-9, f"{steepest} > {bounds.upper}, {said}"
    return False


def share_of_infinite(seeds: range) -> float:
    return sum(map(is_infinite, seeds)) / len(seeds)


def test_no_program_is_steeper_than_its_bound():
    assert share_of_infinite(range(60)) <= 0.25


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 10_000, 1_000))
def test_no_program_of_ten_thousand_is_steeper_than_its_bound(start):
    assert share_of_infinite(range(start, start + 1_000)) <= 0.25
