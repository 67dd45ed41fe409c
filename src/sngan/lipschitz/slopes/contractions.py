r"""Nonlinear operations as a fixed linear map plus contractions, block by block.

For two inputs of an operation, let Δz be their difference and Δy that of the outputs. Each function
below gives matrices with

.. math:: Δy = \text{center}\,Δz + \text{enter}\,w, \qquad
          \|w_b\| \le \|(\text{leave}\,Δz)_b\| \text{ for each block } b,

a quadratic constraint ``λ_b(‖(leave Δz)_b‖² − ‖w_b‖²) ≥ 0`` for every ``λ_b ≥ 0``. The slope
constraint of LipSDP (Fazlyab et al. 2019, arXiv:1906.04893) is the case of blocks of one element;
those of Pauli et al. 2024, arXiv:2401.14033, for GroupSort and MaxMin (kept sums, kept norms) are
that of one block for each group, with the kept sums solved for instead of multiplied.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# between the little that an isometry needs and the 1 that a ReLU needs
_SORTING_MARGIN = 0.3
# a margin of 0 would leave no room for rounding
_LEAST_MARGIN = 1e-3
# of the arithmetic with two slopes, in units of the larger
_ROUNDING = 1e-15


@dataclass(frozen=True)
class Contraction:
    """The matrices of one operation; ``…_blocks`` has the block of each element of w and leave.

    ``margin`` suits its multipliers in closed form (``multipliers.py``).
    """

    center: Tensor
    enter: Tensor
    leave: Tensor
    enter_blocks: Tensor
    leave_blocks: Tensor
    margin: float


def elementwise(low: float, high: float, count: int) -> Contraction:
    """A function of each element with slopes in ``[low, high]``.

    ``Δy_i = s·Δz_i`` with s in the range, so ``w_i = Δy_i − mΔz_i`` with the middle
    ``m = (low + high)/2`` has ``|w_i| ≤ (high − low)/2 · |Δz_i|``.
    """
    eye, own = _eye(count), torch.arange(count)
    radius = (high - low) / 2 + _ROUNDING * max(abs(low), abs(high))
    middle = (low + high) / 2
    margin = max(abs(middle) / radius, _LEAST_MARGIN)
    return Contraction(middle * eye, eye, radius * eye, own, own, margin)


def sorting(groups: Tensor, count: int) -> Contraction:
    """A sorting of groups of elements, in place: ``groups`` has the indices, ``(number, size)``.

    Sorting keeps the sum of a group and brings no two vectors further apart (the rearrangement
    inequality: ``⟨z, z'⟩ ≤ ⟨sort z, sort z'⟩``). The means of the group obey ``mean Δy = mean Δz``,
    so ``‖Δy‖² ≤ ‖Δz‖²`` leaves ``‖Δy − mean Δy‖ ≤ ‖Δz − mean Δz‖``. Here w are the coordinates of
    ``Δy − mean Δy`` in an orthonormal basis of the vectors of sum 0.
    """
    number, size = groups.shape
    basis = _of_sum_zero(size)
    leave = torch.zeros(number, size - 1, count, dtype=torch.float64)
    leave.scatter_(2, groups[:, None].expand(-1, size - 1, -1), basis.expand(number, -1, -1))
    leave = leave.flatten(0, 1)
    blocks = torch.arange(number).repeat_interleave(size - 1)
    return Contraction(
        _eye(count) - leave.t() @ leave, leave.t(), leave, blocks, blocks, _SORTING_MARGIN
    )


def largest(groups: Tensor, count: int) -> Contraction:
    """The maximum or the minimum of each group of elements, of indices ``(number, size k)``.

    Along the segment between two inputs the gradient of the maximum is a convex combination of unit
    vectors, and so is its mean p: ``Δy = ⟨p, Δz⟩ = mean Δz + ⟨p − 1/k, Δz − mean Δz⟩``, where
    ``‖p − 1/k‖² = ‖p‖² − 1/k ≤ 1 − 1/k``.
    """
    number, size = groups.shape
    mean = torch.zeros(number, count, dtype=torch.float64)
    mean.scatter_add_(1, groups, torch.full(groups.shape, 1 / size, dtype=torch.float64))
    leave = torch.zeros(number, size - 1, count, dtype=torch.float64)
    basis = (1 - 1 / size) ** 0.5 * (1 + _ROUNDING) * _of_sum_zero(size)
    leave.scatter_add_(2, groups[:, None].expand(-1, size - 1, -1), basis.repeat(number, 1, 1))
    own = torch.arange(number)
    blocks = own.repeat_interleave(size - 1)
    return Contraction(mean, _eye(number), leave.flatten(0, 1), own, blocks, _SORTING_MARGIN)


def ball(sigma: float, outputs: int, inputs: int) -> Contraction:
    """Any operation of Lipschitz constant ``sigma``: ``‖Δy‖ ≤ sigma‖Δz‖``, one block."""
    center = torch.zeros(outputs, inputs, dtype=torch.float64)
    out, into = torch.zeros(outputs, dtype=torch.long), torch.zeros(inputs, dtype=torch.long)
    return Contraction(center, _eye(outputs), sigma * _eye(inputs), out, into, _LEAST_MARGIN)


def _of_sum_zero(size: int) -> Tensor:
    """Orthonormal rows ``(size − 1, size)`` that sum to 0: ``(1, …, 1, −j, 0, …)/√(j(j + 1))``."""
    steps = torch.arange(1, size, dtype=torch.float64)
    rows = torch.ones(size - 1, size, dtype=torch.float64).tril(0)
    rows[torch.arange(size - 1), torch.arange(1, size)] = -steps
    return rows / (steps * (steps + 1)).sqrt()[:, None]


def _eye(count: int) -> Tensor:
    return torch.eye(count, dtype=torch.float64)
