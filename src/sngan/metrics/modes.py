"""Modes covered: of a known mixture, or of classes that a classifier tells apart."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sngan.data.sources.toy import Mixture
from sngan.metrics.features import as_features
from sngan.metrics.neighbours import nearest_neighbours
from sngan.utils.checks import require, require_number
from sngan.utils.real_arrays import Reals, real_tensor


class Coverage(NamedTuple):
    """``covered`` modes of ``total``, and the divergence of the samples' modes from the truth."""

    covered: int
    total: int
    divergence: float


class MixtureCoverage(NamedTuple):
    """A :class:`Coverage` with the share of samples that lie within 3 σ of a centre."""

    covered: int
    total: int
    divergence: float
    high_quality: float


def mixture_coverage(points: Reals, mixture: Mixture) -> MixtureCoverage:
    """Modes of a mixture of Gaussians that samples reach.

    A sample belongs to the nearest centre, and is of high quality within 3 standard deviations of
    it. A mode is covered by one sample of high quality. The divergence is the reverse KL of all
    samples' modes from the mixture's equal weights. Sources: Srivastava et al. 2017,
    arXiv:1705.07761; Lin et al. 2018, arXiv:1712.04086.

    Raises
    ------
    ValueError
        If points are not floating-point ``(n, dim)`` of the mixture's dimension, none, or not
        finite.
    """
    x = as_features(points, "points")
    centres = mixture.centres.to(x)
    expected = f"dimension {centres.shape[1]}, as the mixture's"
    require(x.shape[1] == centres.shape[1], "points", expected=expected, got=x.shape[1])
    mode, distance = (column[:, 0] for column in nearest_neighbours(x, centres))
    good = distance <= 3 * mixture.std
    total = len(centres)
    counts = torch.bincount(mode, minlength=total)
    return MixtureCoverage(
        covered=int(mode[good].unique().numel()),
        total=total,
        divergence=kl_divergence(counts, torch.ones_like(counts)),
        high_quality=float(good.double().mean()),
    )


def class_coverage(classes: Reals, reference: Reals, *, smoothing: float = 0.0) -> Coverage:
    """Classes ``(n,)``, integers, against the ``reference`` counts or weights ``(K,)`` of each.

    The divergence is :func:`kl_divergence` of their histogram from the reference. A covered class
    has one sample.

    Raises
    ------
    ValueError
        If classes are not integers ``(n,)`` from 0 to K − 1, or :func:`kl_divergence` raises.
    """
    weights = _histogram(reference, "reference")
    counts = torch.bincount(_indices(classes, len(weights)), minlength=len(weights))
    divergence = kl_divergence(counts, weights, smoothing=smoothing)
    return Coverage(int((counts > 0).sum()), len(weights), divergence)


def kl_divergence(counts: Reals, reference: Reals, *, smoothing: float = 0.0) -> float:
    """``KL(p ‖ q) = Σ p log(p/q)`` in nats, of histograms ``(K,)`` that are divided by their sums.

    ``smoothing`` is added to each bin of both first (1/2: Jeffreys 1946), without which an empty
    bin of the reference makes it infinite. Of n samples it is biased up by about (K − 1)/(2n).

    Raises
    ------
    ValueError
        If shapes differ, counts are negative, none or not finite, or ``smoothing`` is negative.
    """
    require_number(smoothing, "smoothing", minimum=0.0)
    left, right = _histogram(counts, "counts"), _histogram(reference, "reference")
    same = left.shape == right.shape
    require(same, "counts", expected=f"shape {tuple(right.shape)}", got=tuple(left.shape))
    p, q = left.to(right.device) + smoothing, right + smoothing
    filled = min(float(p.min()), float(q.min())) >= 0 and float(p.max()) > 0 < float(q.max())
    require(filled, "counts", expected="numbers of at least 0, not all 0", got="others")
    p, q = (histogram / histogram.max() for histogram in (p, q))
    p, q = p / p.sum(), q / q.sum()
    divergence = float((torch.xlogy(p, p) - torch.xlogy(p, q)).sum())
    return divergence if math.isinf(divergence) else max(0.0, divergence)


def _histogram(values: Reals, name: str) -> Tensor:
    """Reals or weights (K,) in float64."""
    expected = "numbers (K,), K of at least 1"
    bins = real_tensor(values, name, expected=expected, integers=True)
    is_vector = bins.dim() == 1 and len(bins) > 0
    require(is_vector, name, expected=expected, got=f"shape {tuple(bins.shape)}")
    require(bool(bins.isfinite().all()), name, expected="finite numbers", got="nan or inf")
    return bins


def _indices(classes: Reals, count: int) -> Tensor:
    """Classes (n,) from 0 to count − 1."""
    expected = "integers (n,) of at least 0"
    numbers = real_tensor(classes, "classes", expected=expected, integers=True)
    fits = numbers.dim() == 1 and bool(((numbers >= 0) & (numbers == numbers.floor())).all())
    require(fits, "classes", expected=expected, got=f"others, of shape {tuple(numbers.shape)}")
    most = int(numbers.max()) if len(numbers) else 0
    require(most < count, "counts", expected=f"shape {(count,)}", got=(most + 1,))
    return numbers.long()
