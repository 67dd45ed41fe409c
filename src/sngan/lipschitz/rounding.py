"""Rounding up: arithmetic on non-negative floats whose results are upper bounds."""

import math
import sys
from collections.abc import Iterable

# a subnormal result has a rounding error of less than 1e-20 times this constant
LEAST_CONSTANT = 1e-290


def next_up(value: float) -> float:
    """Return a float above the exact result of one correctly rounded operation.

    ``value`` is the rounded result. It may be 0 if the exact result is below the smallest float.
    """
    return math.nextafter(value, math.inf)


def multiply_up(left: float, right: float) -> float:
    """Return ``left · right`` rounded up: 0 if one of them is 0, and exact if one is 1."""
    if left == 0.0 or right == 0.0:
        return 0.0
    if left == 1.0 or right == 1.0:
        return left * right
    return next_up(left * right)


def sum_up(values: Iterable[float]) -> float:
    """Return ``Σ values`` of non-negative numbers, rounded up."""
    total = 0.0
    for value in values:
        total = value if total == 0.0 else next_up(total + value) if value else total
    return total


def sqrt_up(value: float) -> float:
    """Return ``√value`` rounded up; exact for 0 and 1."""
    return value if value in (0.0, 1.0) else next_up(math.sqrt(value))


def hypot_up(values: Iterable[float]) -> float:
    """Return ``√(Σ values²)`` rounded up; exact for a single value that is not 0."""
    known = [value for value in values if value]
    if len(known) < 2 or math.inf in known:
        return max(known, default=0.0)
    # a power of two is taken out, so that no square overflows or underflows
    exponent = math.frexp(max(known))[1]
    scaled = (math.ldexp(value, -exponent) for value in known)
    return ldexp_up(sqrt_up(sum_up(multiply_up(value, value) for value in scaled)), exponent)


def ldexp_up(value: float, exponent: int) -> float:
    """Return ``value · 2^exponent`` of a non-negative number, rounded up if it is subnormal."""
    fraction, own = math.frexp(value)
    if fraction == 0.0 or value == math.inf:
        return value
    if own + exponent > sys.float_info.max_exp:
        return math.inf
    result = math.ldexp(fraction, own + exponent)
    return result if own + exponent >= sys.float_info.min_exp else next_up(result)
