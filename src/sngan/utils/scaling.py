"""Scaling by powers of two, so that squares and products neither overflow nor vanish."""

import math

from torch import Tensor


def exponent_of(*values: Tensor) -> int:
    """Return the ``e`` for which ``2^(e − 1) ≤ max |values| < 2^e``; 0 if all are 0."""
    largest = (float(part.detach().abs().max()) for part in values if part.numel() > 0)
    return math.frexp(max(largest, default=0.0))[1]


def shifted(values: Tensor, exponent: int) -> Tensor:
    """Return ``values · 2^exponent``, computed in two steps because the power may overflow."""
    half = exponent // 2
    return values * 2.0**half * 2.0 ** (exponent - half)
