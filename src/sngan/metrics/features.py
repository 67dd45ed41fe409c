"""Features: checked, converted to float64, scaled, and their squared distances in blocks."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from sngan.utils.checks import require
from sngan.utils.real_arrays import Reals, real_tensor
from sngan.utils.scaling import exponent_of, shifted

BLOCK = 2**23  # the most numbers in a block: 64 MiB in float64
# a squared distance that is larger than this share of the squared norms has eleven right digits
_CANCELLED = 1e-4
_FEW = 256


class Scaled(NamedTuple):
    """Features moved to one centre and divided by ``2^exponent``: they lie in ``[−1, 1]``."""

    x: Tensor
    y: Tensor
    exponent: int


def as_features(values: Reals, name: str, *, minimum: int = 1) -> Tensor:
    """Return features ``(n, d)`` in float64.

    Parameters
    ----------
    values
        A tensor, an array or a list of floating-point numbers.
    name
        The name of the argument, for errors.
    minimum
        The smallest number of rows that is allowed.

    Raises
    ------
    ValueError
        If values have another type or shape, fewer rows, or are not finite.
    """
    features = real_tensor(values, name, expected="floating-point features (n, d)")
    is_matrix = features.dim() == 2 and features.shape[1] > 0
    got = f"shape {tuple(features.shape)}"
    require(is_matrix, name, expected="floating-point features (n, d)", got=got)
    rows = len(features)
    require(rows >= minimum, name, expected=f"at least {minimum} samples", got=rows)
    require(bool(features.isfinite().all()), name, expected="finite features", got="nan or inf")
    return features


def as_pair(generated: Reals, real: Reals, *, minimum: int = 1) -> tuple[Tensor, Tensor]:
    """Return both as float64 features of the same dimension on the same device.

    Parameters
    ----------
    generated, real
        Features ``(n, d)`` and ``(m, d)``.
    minimum
        The smallest number of rows that is allowed.

    Raises
    ------
    ValueError
        If :func:`as_features` would raise, or dimensions or devices differ.
    """
    left = as_features(generated, "generated", minimum=minimum)
    right = as_features(real, "real", minimum=minimum)
    expected = f"features of dimension {right.shape[1]}, as real"
    same = left.shape[1] == right.shape[1]
    require(same, "generated", expected=expected, got=f"dimension {left.shape[1]}")
    expected = f"features on {right.device}, as real"
    require(left.device == right.device, "generated", expected=expected, got=left.device)
    return left, right


def scaled(x: Tensor, y: Tensor) -> Scaled:
    """Move both to one centre, and scale them by one power of two.

    The centre is the median of some rows of ``y``. It is not a mean, because outliers move a mean.
    """
    first = exponent_of(x, y)
    x, y = shifted(x, -first), shifted(y, -first)
    centre = y[:: max(1, len(y) // _FEW)].median(0).values
    x, y = x - centre, y - centre
    second = exponent_of(x, y)
    return Scaled(shifted(x, -second), shifted(y, -second), first + second)


def row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Return slices of the rows of a matrix, of at most ``BLOCK`` numbers each."""
    step = max(1, BLOCK // columns)
    yield from (slice(start, start + step) for start in range(0, rows, step))


def squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Return ``|x_i − y_j|²`` in blocks of rows, of features that :func:`scaled` returned.

    They are computed as ``|x|² + |y|² − 2 x·y``. If nearly all digits of this cancel, as for a
    point and its copy, the distance is computed from the difference of the two.
    """
    norms_x, norms_y = x.square().sum(1), y.square().sum(1)
    for rows in row_blocks(len(x), len(y)):
        scale = norms_x[rows, None] + norms_y
        squared = torch.addmm(scale, x[rows], y.T, alpha=-2)
        cancelled = (squared <= _CANCELLED * scale).nonzero()
        for i, j in (pairs.T for pairs in cancelled.split(max(1, BLOCK // x.shape[1]))):
            squared[i, j] = (x[rows][i] - y[j]).square().sum(1)
        yield rows, squared
