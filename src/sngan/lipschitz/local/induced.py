"""Norms of interval matrices: a bound of the norm of all Jacobians of stages, in three norms."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from sngan.lipschitz.local.interval_jacobian import entry_bounds, interval_jacobian
from sngan.lipschitz.slopes.stages import Stages, dual

# room for the rounding of a sum in float64
_ROUNDING = 1e-9
# up to this many inputs or outputs, all vectors of signs are tried
_MOST_SIGNS = 10


def induced_norm(stages: Stages, norm: str) -> float:
    """Return a bound of the norm of every mean Jacobian of the stages, by its interval matrix.

    Parameters
    ----------
    stages
        The stages.
    norm
        ``"1"`` for the largest column sum, ``"inf"`` for the largest row sum, ``"2"``.
    """
    whole = entry_bounds(stages)
    rows, columns = float(whole.sum(dim=1).max()), float(whole.sum(dim=0).max())
    if norm == "inf":
        return min(rows, _by_signs(stages)) * (1 + _ROUNDING)
    if norm == "1":
        return min(columns, _by_signs(dual(stages))) * (1 + _ROUNDING)
    centre, radius = interval_jacobian(stages)
    middle = float(torch.linalg.matrix_norm(centre, 2))
    spread = math.sqrt(float(radius.sum(dim=1).max()) * float(radius.sum(dim=0).max()))
    return min(math.sqrt(rows * columns), middle + spread) * (1 + _ROUNDING)


def _by_signs(stages: Stages) -> float:
    """Return a bound of ``‖J‖_∞ = max (Js)_k`` over all outputs k and all vectors of signs s.

    Each direction s is a network of one input, where opposite slopes cancel. It is infinite for
    many inputs.
    """
    inputs = stages.first.shape[1]
    if inputs > _MOST_SIGNS:
        return math.inf
    signs = _signs(inputs)
    # the sums in first·s are rounded, and have the errors of all elements of a row
    size = 2 * stages.first_size.sum(dim=1, keepdim=True).expand(-1, signs.shape[1])
    along = replace(stages, first=stages.first @ signs, first_size=size)
    return float(entry_bounds(along).max())


def _signs(count: int) -> Tensor:
    """Return all vectors of signs as columns; one of each pair of opposite ones."""
    numbers = torch.arange(2 ** (count - 1))
    bits = (numbers >> torch.arange(count)[:, None]) & 1
    return 1.0 - 2.0 * bits.double()
