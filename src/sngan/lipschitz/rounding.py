"""Arithmetic on non-negative floats, rounded up, so that a bound computed with it stays a bound."""

import math
import sys
from collections.abc import Iterable

# a result that is rounded below the smallest float loses less than 1e-20 of this
LEAST_CONSTANT = 1e-290


def next_up(value: float) -> float:
    """A float above the exact result of the one correctly rounded operation that gave ``value``.

    Also above one that is too small for a float, which gave 0.
    """
    return math.nextafter(value, math.inf)


def multiply_up(left: float, right: float) -> float:
    """``left · right`` rounded up; zero times anything is zero; 1 is exact."""
    if left == 0.0 or right == 0.0:
        return 0.0
    if left == 1.0 or right == 1.0:
        return left * right
    return next_up(left * right)


def sum_up(values: Iterable[float]) -> float:
    """``Σ values`` of non-negative numbers, rounded up."""
    total = 0.0
    for value in values:
        total = value if total == 0.0 else next_up(total + value) if value else total
    return total


def sqrt_up(value: float) -> float:
    """``√value`` rounded up; exact for 1."""
    return value if value in (0.0, 1.0) else next_up(math.sqrt(value))


def hypot_up(values: Iterable[float]) -> float:
    """``√(Σ values²)`` rounded up; a single value stays what it is."""
    known = [value for value in values if value]
    if len(known) < 2 or math.inf in known:
        return max(known, default=0.0)
    # a power of two is taken out, so that no square is too large or too small
    exponent = math.frexp(max(known))[1]
    scaled = (math.ldexp(value, -exponent) for value in known)
    return ldexp_up(sqrt_up(sum_up(multiply_up(value, value) for value in scaled)), exponent)


def ldexp_up(value: float, exponent: int) -> float:
    """``value · 2^exponent`` of a non-negative number, rounded up where it is no float."""
    fraction, own = math.frexp(value)
    if fraction == 0.0 or value == math.inf:
        return value
    if own + exponent > sys.float_info.max_exp:
        return math.inf
    result = math.ldexp(fraction, own + exponent)
    return result if own + exponent >= sys.float_info.min_exp else next_up(result)
