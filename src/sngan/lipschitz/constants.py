"""What one operation contributes to a bound, and the arithmetic that keeps bounds bounds."""

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Factor:
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


# a result that is rounded below the smallest float loses less than 1e-20 of this
LEAST_CONSTANT = 1e-290
STRUCTURE = Factor(1.0, "structure", affine=True)
# an operation that is counted in a later one, with which it is merged
ABSORBED = Factor(1.0, "absorbed", affine=True)


def from_slopes(low: float, high: float) -> Factor:
    """The factor of an elementwise function whose derivative lies in ``[low, high]``."""
    return Factor(max(abs(low), abs(high)), "slope", slopes=(low, high))


def unbounded(reason: str) -> Factor:
    """The factor of an operation without a known finite constant."""
    return Factor(math.inf, "unknown", reason=reason)


def rounded_up(value: float) -> float:
    """A float above the exact result of the one correctly rounded operation that gave ``value``.

    Also above one that is too small for a float, which gave 0.
    """
    return math.nextafter(value, math.inf)


def times(left: float, right: float) -> float:
    """``left · right`` rounded up; zero times anything is zero; 1 is exact."""
    if left == 0.0 or right == 0.0:
        return 0.0
    if left == 1.0 or right == 1.0:
        return left * right
    return rounded_up(left * right)


def plus(values: Iterable[float]) -> float:
    """``Σ values`` of non-negative numbers, rounded up."""
    total = 0.0
    for value in values:
        total = value if total == 0.0 else rounded_up(total + value) if value else total
    return total


def root(value: float) -> float:
    """``√value`` rounded up; exact for 1."""
    return value if value in (0.0, 1.0) else rounded_up(math.sqrt(value))


def hypotenuse(values: Iterable[float]) -> float:
    """``√(Σ values²)`` rounded up; a single value stays what it is."""
    known = [value for value in values if value]
    if len(known) < 2 or math.inf in known:
        return max(known, default=0.0)
    # a power of two is taken out, so that no square is too large or too small
    exponent = math.frexp(max(known))[1]
    scaled = (math.ldexp(value, -exponent) for value in known)
    return shifted(root(plus(times(value, value) for value in scaled)), exponent)


def shifted(value: float, exponent: int) -> float:
    """``value · 2^exponent`` of a non-negative number, rounded up where it is no float."""
    fraction, own = math.frexp(value)
    if fraction == 0.0 or value == math.inf:
        return value
    if own + exponent > sys.float_info.max_exp:
        return math.inf
    result = math.ldexp(fraction, own + exponent)
    return result if own + exponent >= sys.float_info.min_exp else rounded_up(result)
