r"""Stages: the difference of two passes of a network, as linear steps with contractions.

With the difference d of two inputs, ``v_0 = first·d``, each stage maps

.. math:: v_{k+1} = \text{keep}_k v_k + \text{enter}_k w_k, \qquad
          \|(w_k)_b\| \le \|(\text{leave}_k v_k)_b\| \text{ for each block } b,

and the difference of the outputs is ``last·v_K``. A chain of layers and activations has this form.
Residual blocks (``keep = I + …``), concatenations and all other networks whose operations are
linear or contractions (``contractions.py``) have it, too. The state v holds the values that later
operations still need.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sngan.lipschitz.slopes.contractions import Contraction


@dataclass(frozen=True)
class Stage:
    """One step of the state; see the module docstring for the formula.

    Attributes
    ----------
    keep, enter, leave
        The matrices of the formula.
    enter_blocks, leave_blocks
        The block of each element of ``w`` and of ``leave·v``.
    margin
        The margin of the contraction.
    """

    keep: Tensor
    enter: Tensor
    leave: Tensor
    enter_blocks: Tensor
    leave_blocks: Tensor
    margin: float

    @property
    def blocks(self) -> int:
        """The number of blocks, which is the number of multipliers."""
        return 1 + int(self.enter_blocks.max())


@dataclass(frozen=True)
class Stages:
    """The network ``last · stage_K ∘ … ∘ stage_1 · first``."""

    first: Tensor
    middle: Sequence[Stage]
    last: Tensor


def stage_of(contraction: Contraction, *, kept: Tensor, read: Tensor, added: Tensor) -> Stage:
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
    return Stage(
        keep=kept + added @ (contraction.center @ read),
        enter=added @ contraction.enter,
        leave=contraction.leave @ read,
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
        Stage(s.keep.t(), s.leave.t(), s.enter.t(), s.leave_blocks, s.enter_blocks, s.margin)
        for s in reversed(stages.middle)
    ]
    return Stages(stages.last.t(), middle, stages.first.t())


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
    first, size = _normalized(stages.first)
    last, taken = _normalized(stages.last)
    middle: list[Stage] = []
    scales: list[int] = []
    for stage in stages.middle:
        leave, inner = _normalized(stage.leave)
        enter = torch.ldexp(stage.enter, torch.tensor(inner))
        outer = max(_exponent(stage.keep), _exponent(enter))
        scale = torch.tensor(-outer)
        middle.append(
            replace(
                stage,
                keep=torch.ldexp(stage.keep, scale),
                enter=torch.ldexp(enter, scale),
                leave=leave,
            )
        )
        scales.append(size + inner)
        size += outer
    return BalancedStages(Stages(first, middle, last), size + taken, tuple(scales))


def _normalized(matrix: Tensor) -> tuple[Tensor, int]:
    exponent = _exponent(matrix)
    return torch.ldexp(matrix, torch.tensor(-exponent)), exponent


def _exponent(matrix: Tensor) -> int:
    """Return the exponent of a power of 2 just above the spectral norm; 0 for a zero matrix."""
    largest = float(matrix.abs().max()) if matrix.numel() else 0.0
    if largest == 0.0:
        return 0
    shift = math.frexp(largest)[1]
    scaled = torch.ldexp(matrix, torch.tensor(-shift))
    return shift + math.frexp(float(torch.linalg.matrix_norm(scaled, 2)))[1]
