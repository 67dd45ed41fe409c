"""Interval matrices in NumPy: products and sums with all rounding errors, and definiteness.

An interval matrix is a pair of a midpoint and a radius for each element, as in Rump 1999,
doi:10.1007/978-94-017-1247-7_7. Each operation adds the bound of its own rounding errors to the
radius. The result holds all exact results, in any order of summation and with fused operations.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_UNIT = 2.0**-53
# more than the error of a subnormal result
_TINY = 1e-300


@dataclass(frozen=True)
class Interval:
    """All matrices whose elements differ from those of ``mid`` by at most ``rad``."""

    mid: Array
    rad: Array

    @classmethod
    def exact(cls, matrix: Any) -> "Interval":
        """Return the interval of one matrix."""
        array = np.asarray(matrix, dtype=np.float64)
        return cls(array, np.zeros_like(array))

    @classmethod
    def near(cls, matrix: Any, relative: float) -> "Interval":
        """Return the interval around a matrix whose elements have this relative error."""
        array = np.asarray(matrix, dtype=np.float64)
        return cls(array, _up(relative * np.abs(array)))

    @classmethod
    def within(cls, matrix: Array, errors: Array) -> "Interval":
        """Return the interval around a matrix whose elements have these errors, rounded up."""
        return cls(matrix, _up(errors))

    @property
    def t(self) -> "Interval":
        """The transposed matrix."""
        return Interval(self.mid.T, self.rad.T)

    def __matmul__(self, other: "Interval") -> "Interval":
        """Return the product."""
        left, right = np.abs(self.mid), np.abs(other.mid)
        own = _factor(self.mid.shape[1]) * (left @ right)
        spread = left @ other.rad + self.rad @ (right + other.rad)
        rad = (own + spread) * (1 + _factor(self.mid.shape[1] + 8)) + _TINY
        return Interval(self.mid @ other.mid, rad)

    def __add__(self, other: "Interval") -> "Interval":
        """Return the sum."""
        mid = self.mid + other.mid
        return Interval(mid, _up(self.rad + other.rad + 2 * _UNIT * np.abs(mid)))

    def __sub__(self, other: "Interval") -> "Interval":
        """Return the difference."""
        return self + Interval(-other.mid, other.rad)

    def is_definite(self) -> bool:
        """Whether every symmetric matrix in this interval is proved to be positive definite.

        Rows and columns are scaled by powers of 2, which is exact. A Cholesky factorization that
        succeeds proves that its matrix is definite up to ``γ·trace`` (Rump 2006,
        doi:10.1007/s10543-006-0056-1). The radii change the eigenvalues by at most their largest
        row sum.
        """
        diagonal = np.diagonal(self.mid)
        finite = np.isfinite(self.mid).all() and np.isfinite(self.rad).all()
        if not finite or not (diagonal > 0).all():
            return False
        scale = np.exp2(-np.round(np.log2(diagonal) / 2))
        mid = scale[:, None] * (self.mid / 2 + self.mid.T / 2) * scale
        rad = scale[:, None] * np.maximum(self.rad, self.rad.T) * scale
        count = len(mid)
        # the mean of an element and its mirror image is rounded, too
        spread = rad.sum(axis=1).max() + 4 * _UNIT * np.abs(mid).sum(axis=1).max()
        margin = spread + 4 * _factor(count + 2) * float(np.trace(mid))
        shifted = mid - margin * (1 + _factor(count + 8)) * np.eye(count)
        try:
            factor = np.linalg.cholesky(shifted)
        except np.linalg.LinAlgError:
            return False
        return bool(np.isfinite(factor).all())


def block(rows: list[list[Interval]]) -> Interval:
    """Return the matrix that consists of these blocks."""
    return Interval(
        np.block([[part.mid for part in row] for row in rows]),
        np.block([[part.rad for part in row] for row in rows]),
    )


def norm_is_at_most(matrix: Interval, sigma: float) -> bool:
    """Whether the spectral norm of every matrix in the interval is proved to be at most sigma."""
    if sigma == 0.0:
        return not matrix.mid.any() and not matrix.rad.any()
    # a power of 2 keeps the squares away from overflow and underflow
    exponent = math.frexp(sigma)[1]
    scaled = Interval(np.ldexp(matrix.mid, -exponent), np.ldexp(matrix.rad, -exponent))
    size = math.ldexp(sigma, -exponent)
    gram = scaled @ scaled.t if scaled.mid.shape[0] <= scaled.mid.shape[1] else scaled.t @ scaled
    square = Interval.near(size * size * np.eye(len(gram.mid)), 2 * _UNIT)
    return (square - gram).is_definite()


def _factor(count: int) -> float:
    """Return a bound of ``γ_n = nu/(1 − nu)``, the relative error of a sum of n products."""
    return count * _UNIT * (1 + 1e-6)


def _up(values: Array) -> Array:
    return np.nextafter(values * (1 + 4 * _UNIT), np.inf) * (values > 0)
