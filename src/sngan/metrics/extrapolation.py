"""Fréchet distance of infinitely many generated samples, extrapolated from parts of them."""

import numpy as np
import torch

from sngan.metrics.features import as_features, as_pair
from sngan.metrics.frechet import fit_gaussian, gaussian_distance
from sngan.utils.checks import require_count
from sngan.utils.real_arrays import Reals

_POINTS = 15
_DIMENSIONS = 2  # parts have at least so many samples for each feature, if there are enough


def frechet_infinity(generated: Reals, real: Reals, *, seed: int = 0) -> float:
    """Fréchet distance FD∞ that the generator would have with infinitely many samples.

    The distance ``FD_N`` of N generated samples is biased upward by about ``c/N``, where c depends
    on the generator, so two generators may change places when N grows. FD∞ is the intercept of the
    least-squares line of ``FD_N`` over ``1/N``, for 15 numbers N at equal distances up to n. The
    real samples are the same for all, so their own bias stays in the result. It can be below 0.

    The parts are drawn without replacement by a seed, and not from a Sobol sequence of noise, so no
    generator is needed. The smallest one has a tenth of the samples, but at least 2d of them
    (at most half): below that ``FD_N`` is no line over ``1/N``.

    Source: Chong, Forsyth 2020, Effectively Unbiased FID and Inception Score and where to find
    them, arXiv:1911.07023.

    Parameters
    ----------
    generated, real
        Features ``(n, d)`` and ``(m, d)``, at least 4 and 2 rows. n should be several times d.
    seed
        The seed of the parts.

    Raises
    ------
    ValueError
        If shapes do not fit, there are too few rows, values are not finite, or float64 cannot hold
        the distance.

    Examples
    --------
    The Fréchet distance of two samples of one distribution is only bias, and FD∞ is nearly 0:

    >>> import torch
    >>> from sngan.metrics import frechet_distance, frechet_infinity
    >>> generator = torch.Generator().manual_seed(0)
    >>> x, y = (torch.randn(n, 16, generator=generator) for n in (400, 20000))
    >>> frechet_distance(x, y) > 0.2, abs(frechet_infinity(x, y)) < 0.05
    (True, True)
    """
    require_count(seed, "seed", minimum=0)
    as_features(generated, "generated", minimum=4)
    x, y = as_pair(generated, real, minimum=2)
    target = fit_gaussian(y)
    smallest = max(len(x) // 10, min(_DIMENSIONS * x.shape[1], len(x) // 2), 2)
    counts = np.linspace(smallest, len(x), _POINTS).astype(int)
    drawing = torch.Generator().manual_seed(seed)
    distances = [
        gaussian_distance(
            fit_gaussian(x[torch.randperm(len(x), generator=drawing)[:count].to(x.device)]), target
        )
        for count in counts
    ]
    _, intercept = np.polyfit(1 / counts, distances, 1)
    return float(intercept)
