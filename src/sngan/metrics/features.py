"""Features, checked and in float64, in a unit of their own, and their squared distances."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from sngan.utils.checks import require
from sngan.utils.real_arrays import Reals, real_tensor
from sngan.utils.scaling import exponent_of, shifted

BLOCK = 2**23  # numbers of a block: 64 MiB in float64
# scalar products leave this share of two squared norms with eleven digits
_CANCELLED = 1e-4
_FEW = 256


class Scaled(NamedTuple):
    """Features over ``2^exponent``, about one centre: they lie in ``[−1, 1]``."""

    x: Tensor
    y: Tensor
    exponent: int


def as_features(values: Reals, name: str, *, minimum: int = 1) -> Tensor:
    """``(n, d)`` in float64, of at least ``minimum`` rows, all finite."""
    features = real_tensor(values, name, expected="floating-point features (n, d)")
    is_matrix = features.dim() == 2 and features.shape[1] > 0
    got = f"shape {tuple(features.shape)}"
    require(is_matrix, name, expected="floating-point features (n, d)", got=got)
    rows = len(features)
    require(rows >= minimum, name, expected=f"at least {minimum} samples", got=rows)
    require(bool(features.isfinite().all()), name, expected="finite features", got="nan or inf")
    return features


def as_pair(generated: Reals, real: Reals, *, minimum: int = 1) -> tuple[Tensor, Tensor]:
    """Both as float64 features of one dimension and device, of at least ``minimum`` rows each."""
    left = as_features(generated, "generated", minimum=minimum)
    right = as_features(real, "real", minimum=minimum)
    expected = f"features of dimension {right.shape[1]}, as real"
    same = left.shape[1] == right.shape[1]
    require(same, "generated", expected=expected, got=f"dimension {left.shape[1]}")
    expected = f"features on {right.device}, as real"
    require(left.device == right.device, "generated", expected=expected, got=left.device)
    return left, right


def scaled(x: Tensor, y: Tensor) -> Scaled:
    """Both in one unit, about the median of some of ``y``: a mean follows outliers."""
    first = exponent_of(x, y)
    x, y = shifted(x, -first), shifted(y, -first)
    centre = y[:: max(1, len(y) // _FEW)].median(0).values
    x, y = x - centre, y - centre
    second = exponent_of(x, y)
    return Scaled(shifted(x, -second), shifted(y, -second), first + second)


def row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of the rows of a matrix, none of more than ``BLOCK`` numbers."""
    step = max(1, BLOCK // columns)
    yield from (slice(start, start + step) for start in range(0, rows, step))


def squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of rows of ``|x_i − y_j|²`` of features that :func:`scaled` returned.

    They come from scalar products. Where these cancel, as between a point and its copy, the
    distance is that of the differences.
    """
    norms_x, norms_y = x.square().sum(1), y.square().sum(1)
    for rows in row_blocks(len(x), len(y)):
        scale = norms_x[rows, None] + norms_y
        squared = torch.addmm(scale, x[rows], y.T, alpha=-2)
        cancelled = (squared <= _CANCELLED * scale).nonzero()
        for i, j in (pairs.T for pairs in cancelled.split(max(1, BLOCK // x.shape[1]))):
            squared[i, j] = (x[rows][i] - y[j]).square().sum(1)
        yield rows, squared
