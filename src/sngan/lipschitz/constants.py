"""Lipschitz constants of single operations, and how each of them is known."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class LipschitzConstant:
    """A bound of the Lipschitz constant of one operation, and properties of it that tighten bounds.

    Attributes
    ----------
    sigma
        The Lipschitz constant, or an upper bound of it.
    method
        How sigma is known; see ``LayerBound.method``.
    affine
        Whether the operation is affine, so that it may be merged with affine neighbours.
    slopes
        The range of the derivative of an elementwise function.
    sorts
        The group size of an operation that sorts groups of neighbours in dimension 1, else 0.
    reason
        Why sigma is infinite.
    spectrum
        The singular values, where they were computed together with sigma.
    """

    sigma: float
    method: str
    affine: bool = False
    slopes: tuple[float, float] | None = None
    sorts: int = 0
    reason: str = ""
    spectrum: tuple[float, ...] = ()


STRUCTURE = LipschitzConstant(1.0, "structure", affine=True)
# an operation that is merged with a later one, whose constant includes it
ABSORBED = LipschitzConstant(1.0, "absorbed", affine=True)


def from_slopes(low: float, high: float) -> LipschitzConstant:
    """The constant of an elementwise function whose derivative lies in ``[low, high]``."""
    return LipschitzConstant(max(abs(low), abs(high)), "slope", slopes=(low, high))


def unbounded(reason: str) -> LipschitzConstant:
    """The constant of an operation without a known finite constant."""
    return LipschitzConstant(math.inf, "unknown", reason=reason)
