"""Minibatch Wasserstein distance: the mean exact distance of small random batches."""

from dataclasses import dataclass

import numpy as np

from sngan.transport.exact import wasserstein
from sngan.transport.points import problem
from sngan.transport.sliced import mean_power
from sngan.utils.checks import require, require_count
from sngan.utils.real_arrays import Reals


@dataclass(frozen=True)
class MinibatchResult:
    """A mean over batches.

    Attributes
    ----------
    distance, standard_error
        The mean and its standard error, in units of the points.
    batch_size, batches
        The points of a batch, and the number of pairs of batches.

    Examples
    --------
    >>> from sngan.transport import minibatch_wasserstein
    >>> found = minibatch_wasserstein([[0.0], [0.0]], [[3.0], [3.0]], batch_size=1, batches=4)
    >>> round(found.distance, 6), round(found.standard_error, 6), found.batches
    (3.0, 0.0, 4)
    """

    distance: float
    standard_error: float
    batch_size: int
    batches: int


def minibatch_wasserstein(
    x: Reals, y: Reals, *, batch_size: int = 256, batches: int = 32, seed: int = 0, p: float = 1
) -> MinibatchResult:
    """Mean exact distance ``(mean over batches of W_p^p)^(1/p)`` of random batches of two samples.

    The bias is upward. ``W_p^p`` is jointly convex, and the mean of all batches is the whole
    sample, so Jensen's inequality gives ``E W_p^p(batch of x, batch of y) ≥ W_p^p(x, y)``. The
    excess falls slowly with the batch size, as ``batch_size^(−1/d)`` for d > 2. Equal distributions
    have it too, so compare only values of the same batch size.

    Sources: Fatras, Zine, Flamary, Gribonval, Courty 2020, arXiv:1910.04091; Bellemare et al. 2017,
    arXiv:1705.10743.

    Parameters
    ----------
    x, y
        Points ``(n, d)`` and ``(m, d)`` of equal weights: floating-point tensors, arrays or lists.
    batch_size
        Points per batch, drawn without replacement.
    batches
        The number of pairs of batches. The standard error is taken over them; it is NaN for one.
    seed
        The seed of the batches.
    p
        The power, between 1 and 1000.

    Raises
    ------
    ValueError
        If :func:`sngan.transport.wasserstein` would raise, or a batch is larger than a sample.

    Examples
    --------
    Batches of equal samples differ, so the mean is above ``W_1(x, x) = 0``:

    >>> import numpy as np
    >>> from sngan.transport import minibatch_wasserstein
    >>> x = np.random.default_rng(0).standard_normal((200, 2))
    >>> minibatch_wasserstein(x, x, batch_size=20, batches=4).distance > 0.1
    True
    """
    clouds = problem(x, y, p)
    require_count(batch_size, "batch_size")
    require_count(batches, "batches")
    require_count(seed, "seed", minimum=0)
    fewest = min(len(clouds.x), len(clouds.y))
    require(
        batch_size <= fewest,
        "batch_size",
        expected=f"at most {fewest}, the points of the smaller sample",
        got=batch_size,
    )
    generator = np.random.default_rng(seed)

    def batch_distance() -> float:
        left = generator.choice(len(clouds.x), batch_size, replace=False)
        right = generator.choice(len(clouds.y), batch_size, replace=False)
        return wasserstein(clouds.x[left], clouds.y[right], clouds.p).distance

    found = mean_power(np.array([batch_distance() for _ in range(batches)]), clouds.p)
    return MinibatchResult(found.distance, found.standard_error, batch_size, batches)
