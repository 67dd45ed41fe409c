r"""Contractions: nonlinear operations as a fixed linear map plus contractions, block by block.

For two inputs of an operation, let Δz be their difference and Δy that of the outputs. Each function
below returns matrices with

.. math:: Δy = \text{center}\,Δz + \text{enter}\,w, \qquad
          \|w_b\| \le \|(\text{leave}\,Δz)_b\| \text{ for each block } b.

This is a quadratic constraint ``λ_b(‖(leave Δz)_b‖² − ‖w_b‖²) ≥ 0`` for every ``λ_b ≥ 0``. The
slope constraint of LipSDP (Fazlyab et al. 2019, arXiv:1906.04893) is the case of blocks of one
element. The constraints of Pauli et al. 2024, arXiv:2401.14033, for GroupSort and MaxMin are the
case of one block for each group: these operations keep the sums and the norms of groups. Here the
sums enter through the matrix ``center`` and need no multiplier.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# sorting is between an isometry, whose margin is small, and a ReLU, whose margin is 1
_SORTING_MARGIN = 0.3
# a margin of 0 would leave no room for rounding
_LEAST_MARGIN = 1e-3
# error of the arithmetic with two slopes, relative to the larger one
_ROUNDING = 1e-15


@dataclass(frozen=True)
class Contraction:
    """The matrices of one operation; see the module docstring for the formula.

    Attributes
    ----------
    center, enter, leave
        The matrices of the formula.
    enter_blocks, leave_blocks
        The block of each element of ``w`` and of ``leave Δz``.
    margin
        A good margin for its multipliers in closed form (``multipliers.py``).
    """

    center: Tensor
    enter: Tensor
    leave: Tensor
    enter_blocks: Tensor
    leave_blocks: Tensor
    margin: float


def elementwise(low: float, high: float, count: int) -> Contraction:
    """Return the contraction of a function of each element with slopes in ``[low, high]``.

    ``Δy_i = s·Δz_i`` with s in the range. Let m be the middle ``(low + high)/2``. Then
    ``w_i = Δy_i − mΔz_i`` satisfies ``|w_i| ≤ (high − low)/2 · |Δz_i|``.
    """
    eye, own = _eye(count), torch.arange(count)
    radius = (high - low) / 2 + _ROUNDING * max(abs(low), abs(high))
    middle = (low + high) / 2
    margin = max(abs(middle) / radius, _LEAST_MARGIN)
    return Contraction(middle * eye, eye, radius * eye, own, own, margin)


def elementwise_ranges(low: Tensor, high: Tensor) -> Contraction:
    """Return the contraction of a function of each element with a range of slopes of its own.

    Elements with one slope need no block. One block is kept if all are of this kind.
    """
    count = len(low)
    middle, radius = (low + high) / 2, (high - low) / 2
    radius = torch.where(low < high, radius + _ROUNDING * torch.maximum(low.abs(), high.abs()), 0.0)
    moving = torch.nonzero(radius > 0).flatten()
    kept = moving if len(moving) else torch.zeros(1, dtype=torch.long)
    own = torch.arange(len(kept))
    ratio = (middle[kept].abs() / radius[kept].clamp_min(1e-12)).mean() if len(moving) else 0.0
    eye = _eye(count)
    return Contraction(
        torch.diag(middle),
        eye[:, kept],
        radius[kept, None] * eye[kept],
        own,
        own,
        min(max(float(ratio), _LEAST_MARGIN), 1e3),
    )


def sorting(groups: Tensor, count: int) -> Contraction:
    """Return the contraction of sorting groups of elements with indices ``(number, size)``.

    Sorting keeps the sum of a group and brings no two vectors further apart (the rearrangement
    inequality: ``⟨z, z'⟩ ≤ ⟨sort z, sort z'⟩``). The means of the group obey ``mean Δy = mean Δz``,
    so ``‖Δy‖² ≤ ‖Δz‖²`` implies ``‖Δy − mean Δy‖ ≤ ‖Δz − mean Δz‖``. The vector w holds the
    coordinates of ``Δy − mean Δy`` in an orthonormal basis of the vectors of sum 0.
    """
    number, size = groups.shape
    basis = _basis_of_sum_zero(size)
    leave = torch.zeros(number, size - 1, count, dtype=torch.float64)
    leave.scatter_(2, groups[:, None].expand(-1, size - 1, -1), basis.expand(number, -1, -1))
    leave = leave.flatten(0, 1)
    blocks = torch.arange(number).repeat_interleave(size - 1)
    return Contraction(
        _eye(count) - leave.t() @ leave, leave.t(), leave, blocks, blocks, _SORTING_MARGIN
    )


def largest(groups: Tensor, count: int) -> Contraction:
    """Return the contraction of the maximum or minimum of groups with indices ``(number, size k)``.

    Along the segment between two inputs the gradient of the maximum is a convex combination of unit
    vectors, and so is its mean p: ``Δy = ⟨p, Δz⟩ = mean Δz + ⟨p − 1/k, Δz − mean Δz⟩``, where
    ``‖p − 1/k‖² = ‖p‖² − 1/k ≤ 1 − 1/k``.
    """
    number, size = groups.shape
    mean = torch.zeros(number, count, dtype=torch.float64)
    mean.scatter_add_(1, groups, torch.full(groups.shape, 1 / size, dtype=torch.float64))
    leave = torch.zeros(number, size - 1, count, dtype=torch.float64)
    basis = (1 - 1 / size) ** 0.5 * (1 + _ROUNDING) * _basis_of_sum_zero(size)
    leave.scatter_add_(2, groups[:, None].expand(-1, size - 1, -1), basis.repeat(number, 1, 1))
    own = torch.arange(number)
    blocks = own.repeat_interleave(size - 1)
    return Contraction(mean, _eye(number), leave.flatten(0, 1), own, blocks, _SORTING_MARGIN)


def ball(sigma: float, outputs: int, inputs: int) -> Contraction:
    """Return the contraction of any operation with ``‖Δy‖ ≤ sigma‖Δz‖``: a single block."""
    center = torch.zeros(outputs, inputs, dtype=torch.float64)
    out, into = torch.zeros(outputs, dtype=torch.long), torch.zeros(inputs, dtype=torch.long)
    return Contraction(center, _eye(outputs), sigma * _eye(inputs), out, into, _LEAST_MARGIN)


def _basis_of_sum_zero(size: int) -> Tensor:
    """Return orthonormal rows that sum to 0; row j is ``(1, …, 1, −j, 0, …)/√(j(j + 1))``."""
    steps = torch.arange(1, size, dtype=torch.float64)
    rows = torch.ones(size - 1, size, dtype=torch.float64).tril(0)
    rows[torch.arange(size - 1), torch.arange(1, size)] = -steps
    return rows / (steps * (steps + 1)).sqrt()[:, None]


def _eye(count: int) -> Tensor:
    return torch.eye(count, dtype=torch.float64)
