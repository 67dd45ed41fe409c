r"""Stages: the difference of two passes of a network, as linear steps with contractions.

With the difference d of two inputs, ``v_0 = first·d``, each stage maps

.. math:: v_{k+1} = \text{keep}_k v_k + \text{enter}_k w_k, \qquad
          \|(w_k)_b\| \le \|(\text{leave}_k v_k)_b\| \text{ for each block } b,

and the difference of the outputs is ``last·v_K``. A chain of layers and activations has this form.
Residual blocks (``keep = I + …``), concatenations and all other networks whose operations are
linear or contractions (``contractions.py``) have it, too. The state v holds the values that later
operations still need.

The matrices are computed in float64. The error of an element is at most ``EXACTNESS`` times its
size: its absolute value, or more where large terms cancel in it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sngan.lipschitz.slopes.contractions import Contraction

# error of the elements of the matrices, relative to their sizes
EXACTNESS = 1e-12
_UNIT = 2.0**-53


@dataclass(frozen=True)
class Rounded:
    """A computed matrix, and a bound of the error of each element."""

    values: Tensor
    errors: Tensor

    @classmethod
    def exact(cls, values: Tensor) -> "Rounded":
        """Return a matrix without errors."""
        return cls(values, torch.zeros_like(values))

    @classmethod
    def eye(cls, count: int) -> "Rounded":
        """Return the identity."""
        return cls.exact(torch.eye(count, dtype=torch.float64))

    def part(self, rows: slice, columns: slice) -> "Rounded":
        """Return some rows and columns."""
        return Rounded(self.values[rows, columns], self.errors[rows, columns])

    @property
    def size(self) -> Tensor:
        """The smallest sizes for which the errors are at most ``EXACTNESS`` times them."""
        return torch.maximum(self.values.abs(), self.errors / EXACTNESS)

    def __matmul__(self, other: "Rounded") -> "Rounded":
        """Return the product."""
        left, right = self.values.abs(), other.values.abs()
        share = 1.001 * (left.shape[1] + 4) * _UNIT
        spread = left @ (share * right + other.errors) + self.errors @ (right + other.errors)
        return Rounded(self.values @ other.values, 1.001 * spread)

    def __add__(self, other: "Rounded") -> "Rounded":
        """Return the sum."""
        values = self.values + other.values
        return Rounded(values, 1.001 * (self.errors + other.errors + _UNIT * values.abs()))


@dataclass(frozen=True)
class Stage:
    """One step of the state; see the module docstring for the formula.

    Attributes
    ----------
    keep, enter, leave
        The matrices of the formula.
    keep_size, enter_size, leave_size
        The sizes of their elements.
    enter_blocks, leave_blocks
        The block of each element of ``w`` and of ``leave·v``.
    margin
        The margin of the contraction.
    """

    keep: Tensor
    enter: Tensor
    leave: Tensor
    keep_size: Tensor
    enter_size: Tensor
    leave_size: Tensor
    enter_blocks: Tensor
    leave_blocks: Tensor
    margin: float

    @property
    def blocks(self) -> int:
        """The number of blocks, which is the number of multipliers."""
        return 1 + int(self.enter_blocks.max())


@dataclass(frozen=True)
class Stages:
    """The network ``last · stage_K ∘ … ∘ stage_1 · first``, with the sizes of both matrices."""

    first: Tensor
    middle: Sequence[Stage]
    last: Tensor
    first_size: Tensor
    last_size: Tensor


def stages_of(first: Rounded, middle: Sequence[Stage], last: Rounded) -> Stages:
    """Return stages with the sizes of the first and the last matrix."""
    return Stages(first.values, middle, last.values, first.size, last.size)


def stage_of(contraction: Contraction, *, kept: Rounded, read: Rounded, added: Rounded) -> Stage:
    """Return the stage ``v⁺ = kept·v + added·y``, where y is the output for ``z = read·v``.

    Parameters
    ----------
    contraction
        The nonlinear operation with output y.
    kept
        The linear map from the state to the part of the next state without y.
    read
        The linear map from the state to the input z of the operation.
    added
        The linear map from y to the next state.
    """
    center, entering, leaving = (
        Rounded.exact(matrix)
        for matrix in (contraction.center, contraction.enter, contraction.leave)
    )
    keep = kept + added @ (center @ read)
    enter, leave = added @ entering, leaving @ read
    return Stage(
        keep=keep.values,
        enter=enter.values,
        leave=leave.values,
        keep_size=keep.size,
        enter_size=enter.size,
        leave_size=leave.size,
        enter_blocks=contraction.enter_blocks,
        leave_blocks=contraction.leave_blocks,
        margin=contraction.margin,
    )


def dual(stages: Stages) -> Stages:
    """Return the transposed network, whose constant is the same.

    For two inputs, ``w_b = Δ_b (leave·v)_b`` with some matrix ``‖Δ_b‖ ≤ 1``. The product of all
    these matrices maps d to the difference of the outputs, and its transpose has the same norm.
    """
    middle = [
        Stage(
            keep=s.keep.t(),
            enter=s.leave.t(),
            leave=s.enter.t(),
            keep_size=s.keep_size.t(),
            enter_size=s.leave_size.t(),
            leave_size=s.enter_size.t(),
            enter_blocks=s.leave_blocks,
            leave_blocks=s.enter_blocks,
            margin=s.margin,
        )
        for s in reversed(stages.middle)
    ]
    ends = stages.last.t(), middle, stages.first.t()
    return Stages(*ends, stages.last_size.t(), stages.first_size.t())


@dataclass(frozen=True)
class BalancedStages:
    """Stages scaled to norms near 1 by powers of 2.

    Attributes
    ----------
    stages
        The scaled stages.
    exponent
        The constant of the original stages is this power of 2 times that of the scaled ones.
    scales
        The w of each original stage is this power of 2 times that of the scaled stage.
    """

    stages: Stages
    exponent: int
    scales: tuple[int, ...]

    def original_multipliers(self, multipliers: Sequence[Tensor]) -> list[Tensor]:
        """Return the multipliers that prove for the original stages what these prove here."""
        return self._shifted(multipliers, 2)

    def scaled_multipliers(self, multipliers: Sequence[Tensor]) -> list[Tensor]:
        """Return the multipliers for the scaled stages from those for the original ones."""
        return self._shifted(multipliers, -2)

    def _shifted(self, multipliers: Sequence[Tensor], factor: int) -> list[Tensor]:
        return [
            torch.ldexp(multiplier, torch.tensor(factor * (self.exponent - scale)))
            for multiplier, scale in zip(multipliers, self.scales, strict=True)
        ]


def balance(stages: Stages) -> BalancedStages:
    """Return the stages scaled to norms near 1."""
    size, taken = _exponent(stages.first), _exponent(stages.last)
    first, last = _scaled(stages.first, -size), _scaled(stages.last, -taken)
    sizes = _scaled(stages.first_size, -size), _scaled(stages.last_size, -taken)
    middle: list[Stage] = []
    scales: list[int] = []
    for stage in stages.middle:
        inner = _exponent(stage.leave)
        outer = max(_exponent(stage.keep), _exponent(_scaled(stage.enter, inner)))
        middle.append(
            replace(
                stage,
                keep=_scaled(stage.keep, -outer),
                enter=_scaled(stage.enter, inner - outer),
                leave=_scaled(stage.leave, -inner),
                keep_size=_scaled(stage.keep_size, -outer),
                enter_size=_scaled(stage.enter_size, inner - outer),
                leave_size=_scaled(stage.leave_size, -inner),
            )
        )
        scales.append(size + inner)
        size += outer
    return BalancedStages(Stages(first, middle, last, *sizes), size + taken, tuple(scales))


def _scaled(matrix: Tensor, exponent: int) -> Tensor:
    return torch.ldexp(matrix, torch.tensor(exponent))


def _exponent(matrix: Tensor) -> int:
    """Return the exponent of a power of 2 just above the spectral norm; 0 for a zero matrix."""
    largest = float(matrix.abs().max()) if matrix.numel() else 0.0
    if largest == 0.0:
        return 0
    shift = math.frexp(largest)[1]
    scaled = torch.ldexp(matrix, torch.tensor(-shift))
    return shift + math.frexp(float(torch.linalg.matrix_norm(scaled, 2)))[1]
