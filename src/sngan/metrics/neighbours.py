"""Nearest neighbours among the real samples, which reveal copies of training data."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sngan.metrics.features import as_features, as_pair, scaled, squared_distances
from sngan.utils.checks import require, require_count
from sngan.utils.real_arrays import Reals
from sngan.utils.scaling import shifted


class Neighbours(NamedTuple):
    """The nearest real samples of each sample, nearest first.

    ``indices`` int64 ``(n, count)`` point into the real samples; ``distances`` ``(n, count)`` are
    Euclidean, in units of the features.

    Examples
    --------
    >>> from sngan.metrics import nearest_neighbours
    >>> found = nearest_neighbours(torch.tensor([[0.0], [9.0]]), torch.tensor([[8.0], [2.0]]))
    >>> found.indices.tolist(), found.distances.tolist()
    ([[1], [0]], [[2.0], [1.0]])
    """

    indices: Tensor
    distances: Tensor


def nearest_neighbours(
    samples: Reals, real: Reals | Iterable[Reals], *, count: int = 1
) -> Neighbours:
    """Find the ``count`` real samples that are nearest to each sample.

    Parameters
    ----------
    samples
        Features or points ``(n, d)``.
    real
        Real samples ``(m, d)``, or an iterable of such parts if all of them together would not fit
        into memory. Indices then run through all parts.
    count
        The number of neighbours of each sample, at most m.

    Raises
    ------
    ValueError
        If shapes do not fit, there are fewer than ``count`` real samples, or values are not finite.

    Examples
    --------
    >>> import torch
    >>> from sngan.metrics import nearest_neighbours
    >>> real = torch.tensor([[5.0], [1.0], [-2.0]])
    >>> found = nearest_neighbours(torch.tensor([[0.0]]), real, count=2)
    >>> found.indices.tolist(), found.distances.tolist()
    ([[1, 2]], [[1.0, 2.0]])
    """
    require_count(count, "count")
    x = as_features(samples, "samples")
    indices = torch.empty(len(x), 0, dtype=torch.int64, device=x.device)
    distances = x.new_empty(len(x), 0)
    seen = 0
    for part in _parts(real):
        found, at = _nearest(*as_pair(x, part), min(count, len(part)))
        indices, distances = torch.cat([indices, at + seen], 1), torch.cat([distances, found], 1)
        distances, kept = distances.topk(min(count, distances.shape[1]), largest=False)
        indices = indices.gather(1, kept)
        seen += len(part)
    require(seen >= count, "real", expected=f"at least {count} samples", got=seen)
    return Neighbours(indices, distances)


def copying_ratio(generated: Reals, real: Reals) -> float:
    """Compare the distances of generated and of real samples to the nearest other real sample.

    The ratio is ``median_i min_j |x_i − y_j| / median_j min_{k≠j} |y_j − y_k|`` of generated ``x``
    and real ``y``. It is near 1 for new samples of the same distribution and 0 for copies. It is
    infinite or NaN if half of the real samples have a duplicate.

    Parameters
    ----------
    generated, real
        Features ``(n, d)`` and ``(m, d)``.

    Raises
    ------
    ValueError
        If shapes do not fit, there are fewer than 2 real samples, or values are not finite.

    Examples
    --------
    >>> import torch
    >>> from sngan.metrics import copying_ratio
    >>> real = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    >>> copying_ratio(real[:50], real)
    0.0
    """
    x, y = as_pair(generated, real)
    as_features(real, "real", minimum=2)
    to_real = nearest_neighbours(x, y).distances[:, 0].median()
    among_real = nearest_neighbours(y, y, count=2).distances[:, 1].median()
    return float(to_real / among_real)


def authpct(generated: Reals, real: Reals) -> float:
    """Share of authentic samples in percent: those that are no near copy of a training sample.

    A generated sample ``x`` is authentic if its nearest training sample ``y`` has another training
    sample nearer than ``x``. Copies give 0. A perfect generator does not give 100: x is not
    authentic if x and y are each other's nearest neighbours, so new samples of the same
    distribution give ``100/3`` on a line, 38 in the plane, 41 in space (Pickard 1982, Isolated
    nearest neighbors), and nearly 50 in many dimensions. Values far above that are no praise; they
    mean samples far from the data.

    Source: Alaa et al. 2022, How Faithful is your Synthetic Data?, arXiv:2102.08921; in percent as
    in Stein et al. 2023, arXiv:2306.04675.

    Parameters
    ----------
    generated, real
        Features ``(n, d)`` of generated and ``(m, d)`` of training samples, m ≥ 2. A copy of a
        training sample that is not among ``real`` is not noticed.

    Raises
    ------
    ValueError
        If shapes do not fit, there are fewer than 2 real samples, or values are not finite.

    Examples
    --------
    >>> import torch
    >>> from sngan.metrics import authpct
    >>> real = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> authpct(real[:50], real), authpct(real + 100, real)
    (0.0, 100.0)
    """
    x, y = as_pair(generated, real)
    as_features(real, "real", minimum=2)
    nearest = nearest_neighbours(x, y)
    among_real = nearest_neighbours(y, y, count=2).distances[:, 1]
    is_authentic = among_real[nearest.indices[:, 0]] < nearest.distances[:, 0]
    return 100 * float(is_authentic.double().mean())


def _parts(real: Any) -> Iterable[Any]:
    """Return the parts of real samples: one tensor, array or list of rows is a single part."""
    first = real[0] if isinstance(real, list | tuple) and real else None
    is_rows = getattr(first, "ndim", None) == 1
    if isinstance(first, list | tuple):
        is_rows = not (first and isinstance(first[0], list | tuple))
    is_one = hasattr(real, "__array__") or is_rows or not hasattr(real, "__iter__")
    return [real] if is_one else real


def _nearest(x: Tensor, y: Tensor, count: int) -> tuple[Tensor, Tensor]:
    x, y, exponent = scaled(x, y)
    found = x.new_empty(len(x), count)
    at = torch.empty(len(x), count, dtype=torch.int64, device=x.device)
    for rows, squared in squared_distances(x, y):
        found[rows], at[rows] = squared.topk(count, largest=False)
    return shifted(found.sqrt(), exponent), at
