"""The nearest real samples: whether a generator repeats what it was trained on."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sngan.metrics.features import as_features, as_pair, scaled, squared_distances
from sngan.utils.checks import require, require_count
from sngan.utils.real_arrays import Reals
from sngan.utils.scaling import shifted


class Neighbours(NamedTuple):
    """Of each sample, nearest first: ``indices`` into the real ones and Euclidean ``distances``.

    Both are ``(n, count)``.
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
        ``(m, d)``, or an iterable of such parts where all of them at once would not fit in memory;
        the indices count on through the parts.
    count
        At most m.

    Raises
    ------
    ValueError
        If shapes do not fit, there are fewer than ``count`` real samples, or values are not finite.
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
    """Median distance of a generated sample to its nearest real one, over that among the real.

    Near 1 for fresh samples of the same distribution, 0 for copies; infinite or NaN where half of
    the real samples have a duplicate.

    Raises
    ------
    ValueError
        If shapes do not fit, there are fewer than 2 real samples, or values are not finite.
    """
    x, y = as_pair(generated, real)
    as_features(real, "real", minimum=2)
    to_real = nearest_neighbours(x, y).distances[:, 0].median()
    among_real = nearest_neighbours(y, y, count=2).distances[:, 1].median()
    return float(to_real / among_real)


def _parts(real: Any) -> Iterable[Any]:
    """One tensor, array or list of rows is one part, and so is what holds no parts."""
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
