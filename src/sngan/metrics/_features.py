"""Features, checked and in float64, and their squared distances in blocks of rows."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from sngan._checks import require

BLOCK = 2**23  # numbers of a block: 64 MiB in float64
_EPSILON = torch.finfo(torch.float64).eps


def as_features(values: Tensor, name: str, *, minimum: int = 1) -> Tensor:
    """``(n, d)`` in float64, of at least ``minimum`` rows, all finite."""
    is_matrix = values.dim() == 2 and values.is_floating_point() and values.shape[1] > 0
    got = f"{values.dtype} {tuple(values.shape)}"
    require(is_matrix, name, expected="floating-point features (n, d)", got=got)
    require(len(values) >= minimum, name, expected=f"at least {minimum} samples", got=len(values))
    features = values.detach().to(torch.float64)
    require(bool(features.isfinite().all()), name, expected="finite features", got="nan or inf")
    return features


def as_pair(generated: Tensor, real: Tensor, *, minimum: int = 1) -> tuple[Tensor, Tensor]:
    """Both as float64 features of one dimension, of at least ``minimum`` rows each."""
    left = as_features(generated, "generated", minimum=minimum)
    right = as_features(real, "real", minimum=minimum)
    expected = f"features of dimension {right.shape[1]}, as real"
    same = left.shape[1] == right.shape[1]
    require(same, "generated", expected=expected, got=f"dimension {left.shape[1]}")
    return left, right


def row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of the rows of a matrix, none of more than ``BLOCK`` numbers."""
    step = max(1, BLOCK // columns)
    yield from (slice(start, start + step) for start in range(0, rows, step))


def squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of rows of ``|x_i − y_j|²``, float64.

    They come from scalar products, whose rounding would tell equal points apart: what is below it
    is 0.
    """
    # about the mean the norms, and the rounding with them, are small
    centre = y.mean(0)
    x, y = x - centre, y - centre
    norms_x, norms_y = x.square().sum(1), y.square().sum(1)
    rounding = 8 * math.sqrt(x.shape[1]) * _EPSILON
    for rows in row_blocks(len(x), len(y)):
        scale = norms_x[rows, None] + norms_y
        squared = torch.addmm(scale, x[rows], y.T, alpha=-2)
        yield rows, squared.masked_fill_(squared <= rounding * scale, 0)
