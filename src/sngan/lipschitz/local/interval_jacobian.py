r"""Interval matrices that hold all mean Jacobians of stages.

The rows that later operations read are pulled back to the input as an interval matrix ``C ± R``:
with blocks ``w_b = Δ_b(leave·v)_b``, ``‖Δ_b‖ ≤ 1``,

.. math:: (C ± R)(\text{keep} + \text{enter}\,Δ\,\text{leave}) ⊂ C\,\text{keep} ±
          \big(R|\text{keep}| + (|C\,\text{enter}| + R|\text{enter}|)_b\,|\text{leave}|_b\big),

with Euclidean norms over the elements of each block. All rounding errors enter R.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from sngan.lipschitz.slopes.stages import EXACTNESS, Stage, Stages, dual

# room for the rounding of a sum in float64
_ROUNDING = 1e-9
# one error in a matrix, and one in the product with it
_ERRORS = 2 * EXACTNESS

IntervalMatrix = tuple[Tensor, Tensor]


def entry_bounds(stages: Stages) -> Tensor:
    """Return a bound of each element of every mean Jacobian, by rows or by columns."""
    return smaller_entries(stages, interval_jacobian(stages))


def smaller_entries(stages: Stages, by_rows: IntervalMatrix) -> Tensor:
    """Return :func:`entry_bounds`, where the interval matrix by rows is known."""
    by_columns = interval_jacobian(dual(stages))
    return torch.minimum(by_rows[0].abs() + by_rows[1], (by_columns[0].abs() + by_columns[1]).t())


def interval_jacobian(stages: Stages) -> IntervalMatrix:
    """Return C and R: every mean Jacobian of the stages differs from C by at most R."""
    *_, last = states_pulled_back(stages)
    return through_first(stages, last)


def through_first(stages: Stages, matrix: IntervalMatrix) -> IntervalMatrix:
    """Return an interval matrix for the first state as one for the input."""
    centre, radius = matrix
    rounding = _ERRORS * (centre.abs() @ stages.first_size)
    radius = radius @ ((1 + EXACTNESS) * stages.first_size) + rounding
    return centre @ stages.first, radius * (1 + _ROUNDING)


def states_pulled_back(stages: Stages) -> Iterator[IntervalMatrix]:
    """Yield C and R of the outputs as a function of each state, from the last state to the first.

    This is a generator, because callers need all of them or the last one.
    """
    centre, radius = stages.last, EXACTNESS * stages.last_size
    yield centre, radius
    for stage in reversed(stages.middle):
        enter = _read_blocks(stage, centre @ stage.enter)
        errors = _ERRORS * (centre.abs() @ stage.enter_size)
        spread = _read_blocks(stage, radius @ ((1 + EXACTNESS) * stage.enter_size) + errors)
        rounding = _ERRORS * (centre.abs() @ stage.keep_size)
        kept = radius @ ((1 + EXACTNESS) * stage.keep_size)
        radius = (kept + (enter + spread) @ _leave_blocks(stage) + rounding) * (1 + _ROUNDING)
        centre = centre @ stage.keep
        yield centre, radius


def _read_blocks(stage: Stage, rows: Tensor) -> Tensor:
    """Return the norm over the elements of each block of w, for each row ``(rows, blocks)``."""
    return _norms_of_groups(rows, stage.enter_blocks, stage.blocks)


def _leave_blocks(stage: Stage) -> Tensor:
    """Return the norm over the rows of each block of leave, for each column."""
    sizes = stage.leave.abs() + EXACTNESS * stage.leave_size
    return _norms_of_groups(sizes.t(), stage.leave_blocks, stage.blocks).t()


def _norms_of_groups(rows: Tensor, groups: Tensor, count: int) -> Tensor:
    """Return the norm over the columns of each group, rounded up, without underflow."""
    start = torch.zeros(len(rows), count, dtype=rows.dtype)
    largest = start.scatter_reduce(1, groups.expand(len(rows), -1), rows.abs(), "amax")
    if count == len(groups):
        return largest
    scaled = rows / torch.where(largest > 0, largest, 1.0)[:, groups]
    return largest * start.index_add(1, groups, scaled**2).sqrt() * (1 + _ROUNDING)
