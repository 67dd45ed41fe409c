"""Quadratic constraints of nonlinear operations on random pairs of inputs."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sngan.lipschitz.rules.modules import module_constant
from sngan.lipschitz.slopes.contractions import ball, elementwise, largest, sorting

PAIRS = 2000


def function_of(layer):
    low, high = module_constant(
        layer, (6,), result=(6,), has_options=False, batch_dims=1, in_train_mode=False
    ).slopes
    return layer.double(), elementwise(low, high, 6)


def sorted_in(groups):
    def function(z):
        y = z.clone()
        y[:, groups] = z[:, groups].sort(dim=-1).values
        return y

    return function, sorting(groups, int(groups.max()) + 1)


def largest_of(groups, reduction):
    return lambda z: reduction(z[:, groups], dim=-1), largest(groups, int(groups.max()) + 1)


CASES = {
    **{
        repr(layer): function_of(layer)
        for layer in [
            nn.ReLU(), nn.LeakyReLU(0.2), nn.LeakyReLU(3.0), nn.LeakyReLU(-2.0), nn.Tanh(),
            nn.GELU(), nn.SiLU(), nn.Hardswish(), nn.ELU(-1.5), nn.PReLU(init=0.3),
        ]
    },
    "abs": (torch.abs, elementwise(-1.0, 1.0, 6)),
    "MaxMin": sorted_in(torch.arange(6).view(3, 2)),
    "GroupSort(3)": sorted_in(torch.arange(6).view(2, 3)),
    "GroupSort(6)": sorted_in(torch.arange(6).view(1, 6)),
    "strided pairs": sorted_in(torch.arange(6).view(2, 3).t()),
    "maxout of 2": largest_of(torch.arange(6).view(2, 3).t(), torch.amax),
    "minimum of 3": largest_of(torch.arange(6).view(2, 3), torch.amin),
    "windows that overlap": largest_of(torch.tensor([[0, 1, 2], [2, 3, 4], [4, 4, 5]]), torch.amax),
    "softmax": (lambda z: F.softmax(z, dim=1), ball(0.5, 6, 6)),
}  # fmt: skip


def sides(function, contraction):
    """``‖w_b‖²`` and ``‖(leave Δz)_b‖²`` of random pairs, after a check of the formula for Δy."""
    z = torch.randn(PAIRS, 6).double() * torch.logspace(-2, 1, PAIRS)[:, None].double()
    other = z + torch.randn(PAIRS, 6).double() * torch.logspace(-3, 1, 40).repeat(50)[:, None]
    moved, change = function(other) - function(z), other - z
    w = (moved - change @ contraction.center.t()) @ contraction.enter
    torch.testing.assert_close(
        change @ contraction.center.t() + w @ contraction.enter.t(), moved, rtol=0, atol=1e-12
    )
    left = change @ contraction.leave.t()
    count = 1 + int(contraction.enter_blocks.max())
    zeros = torch.zeros(PAIRS, count).double()
    return (
        zeros.index_add(1, contraction.enter_blocks, w**2),
        zeros.index_add(1, contraction.leave_blocks, left**2),
    )


@pytest.mark.parametrize("name", CASES)
def test_pairs_obey_the_constraint_and_come_close(name):
    inner, outer = sides(*CASES[name])
    assert (inner <= outer * (1 + 1e-9) + 1e-24).all()
    # the other side of the check: a slightly smaller radius would fail
    assert (inner / outer.clamp_min(1e-300)).max() >= 0.7**2


@pytest.mark.parametrize("name", [name for name in CASES if name != "softmax"])
def test_multipliers_below_zero_break_it(name):
    inner, outer = sides(*CASES[name])
    multipliers = torch.ones(inner.shape[1]).double()
    assert ((outer - inner) @ multipliers >= -1e-9).all()
    multipliers[0] = -1.0
    assert ((outer - inner) @ multipliers < -1e-3).any()


def test_multipliers_that_differ_inside_a_group_break_it():
    function, contraction = CASES["GroupSort(3)"]
    z = torch.randn(PAIRS, 6).double()
    other = torch.randn(PAIRS, 6).double()
    moved, change = function(other) - function(z), other - z
    w = (moved - change @ contraction.center.t()) @ contraction.enter
    multipliers = torch.tensor([1.0, 0.1, 1.0, 1.0]).double()
    excess = (w**2 - (change @ contraction.leave.t()) ** 2) @ multipliers
    assert excess.max() > 1e-3


def test_a_relu_is_not_a_function_of_slopes_below_one():
    inner, outer = sides(torch.relu, elementwise(0.0, 0.9, 6))
    assert (inner > outer + 1e-6).any()
