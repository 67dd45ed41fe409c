"""Fused functions of torch have the bound of the sums and products that they stand for."""

import pytest
import torch
from torch import nn

from sngan.lipschitz import lipschitz_bounds

N = 4


def constant(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


VECTOR, MATRIX, OTHER = constant(N), constant(N, N, seed=1), constant(1, N, seed=2)

FUSED = {
    "addcmul, first": lambda x: torch.addcmul(x, VECTOR, OTHER, value=0.5),
    "addcmul, second": lambda x: torch.addcmul(OTHER, x, VECTOR, value=-2),
    "addcmul, third": lambda x: torch.addcmul(OTHER, VECTOR, x),
    "addcmul, method": lambda x: OTHER.addcmul(tensor1=VECTOR, tensor2=x, value=3.0),
    "addcmul, twice": lambda x: torch.addcmul(x, VECTOR, x),
    "addcmul, in place": lambda x: (2 * x).addcmul_(VECTOR, OTHER),
    "addcdiv, first": lambda x: torch.addcdiv(x, VECTOR, OTHER),
    "addcdiv, second": lambda x: torch.addcdiv(OTHER, x, VECTOR, value=0.1),
    "lerp, number": lambda x: torch.lerp(x, OTHER, 0.3),
    "lerp, tensor": lambda x: torch.lerp(OTHER, x, VECTOR),
    "lerp, both": lambda x: torch.lerp(x, -x, 0.25),
    "lerp, in place": lambda x: (x + 1).lerp_(OTHER, 0.5),
    "addmm": lambda x: torch.addmm(VECTOR, x, MATRIX, alpha=2.0),
    "addmm, beta 0": lambda x: torch.addmm(OTHER * torch.inf, x, MATRIX, beta=0),
    "addmm, input": lambda x: torch.addmm(x, OTHER, MATRIX, beta=0.7),
    "addmv": lambda x: torch.addmv(VECTOR, MATRIX, x.flatten())[None],
    "baddbmm": lambda x: torch.baddbmm(OTHER[None], x[None], MATRIX[None], alpha=0.5)[0],
}


class Applied(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("name", FUSED)
def test_the_bound_is_that_of_the_jacobian(name):
    function = FUSED[name]
    jacobian = torch.autograd.functional.jacobian(function, constant(1, N, seed=3))
    slope = float(torch.linalg.matrix_norm(jacobian.reshape(N, N), 2))
    upper = lipschitz_bounds(Applied(function).double(), (N,), lower=False).upper
    # two branches of one sum count as if they were steepest in one direction
    most = 2.5 if name in ("addcmul, twice", "lerp, both") else 1 + 1e-6
    assert slope * (1 - 1e-9) <= upper <= most * slope
    if most == 2.5:
        parts = 1 + float(VECTOR.abs().max()) if name == "addcmul, twice" else 1.0
        assert upper == pytest.approx(parts, rel=1e-6)


def test_calls_that_are_not_written_out_still_run():
    def function(x):
        return torch.addcmul(x, VECTOR, OTHER, out=torch.empty_like(x))

    bounds = lipschitz_bounds(Applied(function).double(), (N,), lower=False)
    assert bounds.upper >= 1
