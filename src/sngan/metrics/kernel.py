"""The kernel distance: an unbiased squared MMD of two sets of features."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sngan.metrics._features import as_pair, row_blocks


class KernelDistance(NamedTuple):
    """``distance``, the squared MMD, and its standard error."""

    distance: float
    standard_error: float


def kernel_distance(generated: Tensor, real: Tensor) -> KernelDistance:
    """Squared MMD under ``k(x, y) = (x·y/d + 1)³``; on Inception's features, the KID.

    The U-statistic over all pairs: unbiased at any sample count, so it may fall below 0 where the
    distributions agree. Sources: Bińkowski et al. 2018, arXiv:1801.01401; Gretton et al. 2012,
    A kernel two-sample test, equation 3.

    The standard error is the jackknife's, leaving out one sample at a time. Its square is never
    biased down (Efron, Stein 1981), and up to twice too large where the distributions agree.

    Parameters
    ----------
    generated, real
        Features ``(n, d)`` and ``(m, d)``, at least 3 rows each; computed in float64, in blocks.

    Raises
    ------
    ValueError
        Shapes that do not fit, fewer than 3 rows, values that are not finite.
    """
    x, y = as_pair(generated, real, minimum=3)
    across_x, across_y = _kernel_sums(x, y)
    within_x = _kernel_sums(x, x)[0] - _kernel(x.square().sum(1), x.shape[1])
    within_y = _kernel_sums(y, y)[0] - _kernel(y.square().sum(1), y.shape[1])
    n, m = len(x), len(y)
    distance = (
        within_x.sum() / (n * (n - 1))
        + within_y.sum() / (m * (m - 1))
        - 2 * across_x.sum() / (n * m)
    )
    variance = _jackknife(within_x, across_x, m) + _jackknife(within_y, across_y, n)
    return KernelDistance(float(distance), math.sqrt(variance))


def _kernel(products: Tensor, dimension: int) -> Tensor:
    return (products / dimension + 1) ** 3


def _kernel_sums(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of ``k(x_i, y_j)`` over j, ``(n,)``, and over i, ``(m,)``."""
    over_columns, over_rows = torch.empty_like(x[:, 0]), torch.zeros_like(y[:, 0])
    for rows in row_blocks(len(x), len(y)):
        values = _kernel(x[rows] @ y.T, x.shape[1])
        over_columns[rows] = values.sum(1)
        over_rows += values.sum(0)
    return over_columns, over_rows


def _jackknife(within: Tensor, across: Tensor, others: int) -> float:
    """Variance from leaving out each sample of one set, up to what all of them share."""
    n = len(within)
    effects = 2 * across / ((n - 1) * others) - 2 * within / ((n - 1) * (n - 2))
    return float((n - 1) * effects.var(correction=0))
