"""Lipschitz constants of single operations, and how each of them is known."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class LipschitzConstant:
    """How much one operation can stretch a change of its input.

    ``sigma`` is the Lipschitz constant or a bound of it; ``method`` says how it is known.
    ``affine`` operations may be merged with their neighbours. ``slopes`` is the range of the
    derivative of an elementwise function; ``sorts`` is the size of the groups of neighbours in
    dimension 1 that it sorts. ``reason`` says why ``sigma`` is infinite. ``spectrum``
    has the singular values, where they came with the constant.
    """

    sigma: float
    method: str
    affine: bool = False
    slopes: tuple[float, float] | None = None
    sorts: int = 0
    reason: str = ""
    spectrum: tuple[float, ...] = ()


STRUCTURE = LipschitzConstant(1.0, "structure", affine=True)
# an operation that is counted in a later one, with which it is merged
ABSORBED = LipschitzConstant(1.0, "absorbed", affine=True)


def from_slopes(low: float, high: float) -> LipschitzConstant:
    """The factor of an elementwise function whose derivative lies in ``[low, high]``."""
    return LipschitzConstant(max(abs(low), abs(high)), "slope", slopes=(low, high))


def unbounded(reason: str) -> LipschitzConstant:
    """The factor of an operation without a known finite constant."""
    return LipschitzConstant(math.inf, "unknown", reason=reason)
