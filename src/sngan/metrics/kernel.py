"""Kernel distance: an unbiased squared MMD of two sets of features; on Inception's, the KID."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sngan.metrics.features import as_pair, row_blocks
from sngan.utils.checks import require
from sngan.utils.real_arrays import Reals
from sngan.utils.scaling import exponent_of, shifted


class KernelDistance(NamedTuple):
    """The squared MMD, ``distance``, and its ``standard_error``.

    Examples
    --------
    >>> from sngan.metrics import kernel_distance
    >>> x = torch.tensor([[0.0], [1.0], [2.0]])
    >>> found = kernel_distance(x + 5, x)
    >>> found.distance > found.standard_error > 0
    True
    """

    distance: float
    standard_error: float


def kernel_distance(generated: Reals, real: Reals) -> KernelDistance:
    """Squared MMD under ``k(x, y) = (x·y/d + 1)³``; on Inception's features, the KID.

    The estimate is the U-statistic ``mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) − 2 mean_{i,j}
    k(x_i, y_j)`` over all pairs. It is unbiased at any sample count, so it can be below 0 if the
    distributions are equal. The standard error is that of the jackknife, which leaves out one
    sample at a time. Its square is not biased downward (Efron, Stein 1981), but up to twice too
    large if the distributions are equal.

    Sources: Bińkowski et al. 2018, arXiv:1801.01401; Gretton et al. 2012, A kernel two-sample test,
    equation 3.

    Parameters
    ----------
    generated, real
        Features ``(n, d)`` and ``(m, d)``, at least 3 rows each. The computation is in
        float64 and in blocks, so memory is O((n + m)d).

    Raises
    ------
    ValueError
        If shapes do not fit, there are fewer than 3 rows, values are not finite, or float64 cannot
        hold their sixth power.

    Examples
    --------
    >>> import torch
    >>> from sngan.metrics import kernel_distance
    >>> generator = torch.Generator().manual_seed(0)
    >>> x, y = torch.randn(2, 400, 4, generator=generator)
    >>> same, moved = kernel_distance(x, y), kernel_distance(x + 1, y)
    >>> abs(same.distance) < 3 * same.standard_error, moved.distance > 10 * moved.standard_error
    (True, True)
    """
    x, y = as_pair(generated, real, minimum=3)
    exponent = exponent_of(x, y)
    kernel = _Kernel.of(exponent, x.shape[1])
    x, y = shifted(x, -exponent), shifted(y, -exponent)
    across_x, across_y = kernel.sums(x, y)
    within_x = kernel.sums(x, x)[0] - kernel(x.square().sum(1))
    within_y = kernel.sums(y, y)[0] - kernel(y.square().sum(1))
    n, m = len(x), len(y)
    distance = (
        within_x.sum() / (n * (n - 1))
        + within_y.sum() / (m * (m - 1))
        - 2 * across_x.sum() / (n * m)
    )
    variance = _jackknife(within_x, across_x, m) + _jackknife(within_y, across_y, n)
    found = KernelDistance(
        *(kernel.unit(value) for value in (float(distance), math.sqrt(variance)))
    )
    require(
        all(map(math.isfinite, found)),
        "generated, real",
        expected="features whose sixth power float64 can hold",
        got="an overflow: divide both by a constant",
    )
    return found


@dataclass(frozen=True)
class _Kernel:
    """``k − 1`` of products of features that were divided by ``2^exponent``.

    The constant of ``(t + 1)³ = 1 + t³ + 3t² + 3t`` cancels in a difference of means, and would
    hide the digits of small features. Values are in units of ``2^(6·exponent)`` for large features
    and of ``2^(2·exponent)`` for small ones, so that they are of size 1.
    """

    exponent: int
    dimension: int
    cubic: float
    square: float
    linear: float

    @classmethod
    def of(cls, exponent: int, dimension: int) -> "_Kernel":
        if exponent > 0:
            return cls(exponent, dimension, 1.0, 3 * 4.0**-exponent, 3 * 16.0**-exponent)
        return cls(exponent, dimension, 16.0**exponent, 3 * 4.0**exponent, 3.0)

    def __call__(self, products: Tensor) -> Tensor:
        t = products / self.dimension
        return t * (t * (self.cubic * t + self.square) + self.linear)

    def sums(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sums of ``k(x_i, y_j) − 1`` over j, ``(n,)``, and over i, ``(m,)``."""
        over_columns, over_rows = torch.empty_like(x[:, 0]), torch.zeros_like(y[:, 0])
        for rows in row_blocks(len(x), len(y)):
            values = self(x[rows] @ y.T)
            over_columns[rows] = values.sum(1)
            over_rows += values.sum(0)
        return over_columns, over_rows

    def unit(self, value: float) -> float:
        """Return a value of the scaled kernel in units of the features; infinite beyond float64."""
        try:
            return math.ldexp(value, (6 if self.exponent > 0 else 2) * self.exponent)
        except OverflowError:
            return math.inf


def _jackknife(within: Tensor, across: Tensor, others: int) -> float:
    """The jackknife's variance of leaving out samples of one set; common terms cancel in it."""
    n = len(within)
    effects = 2 * across / ((n - 1) * others) - 2 * within / ((n - 1) * (n - 2))
    return float((n - 1) * effects.var(correction=0))
