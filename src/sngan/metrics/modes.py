"""Modes covered: of a known mixture, or of classes that a classifier tells apart."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sngan._checks import require
from sngan.data.toy import Mixture
from sngan.metrics._features import as_features


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


def mixture_coverage(points: Tensor, mixture: Mixture) -> MixtureCoverage:
    """Modes of a mixture of Gaussians that samples reach.

    A sample belongs to the nearest centre, and is of high quality within 3 standard deviations of
    it. A mode is covered by one sample of high quality. The divergence is the reverse KL of all
    samples' modes from the mixture's equal weights. Sources: Srivastava et al. 2017,
    arXiv:1705.07761; Lin et al. 2018, arXiv:1712.04086.

    Raises
    ------
    ValueError
        Not floating-point ``(n, dim)`` of the mixture's dimension, no points, nan or inf.
    """
    x = as_features(points, "points")
    centres = mixture.centres.to(x)
    expected = f"dimension {centres.shape[1]}, as the mixture's"
    require(x.shape[1] == centres.shape[1], "points", expected=expected, got=x.shape[1])
    distance, mode = torch.cdist(x, centres).min(1)
    good = distance <= 3 * mixture.std
    total = len(centres)
    counts = torch.bincount(mode, minlength=total)
    return MixtureCoverage(
        covered=int(mode[good].unique().numel()),
        total=total,
        divergence=kl_divergence(counts, torch.ones_like(counts)),
        high_quality=float(good.double().mean()),
    )


def class_coverage(classes: Tensor, reference: Tensor, *, smoothing: float = 0.0) -> Coverage:
    """Classes ``(n,)``, integers, against the ``reference`` counts or weights ``(K,)`` of each.

    The divergence is :func:`kl_divergence` of their histogram from the reference. A covered class
    has one sample.
    """
    counts = torch.bincount(classes, minlength=len(reference))
    divergence = kl_divergence(counts, reference, smoothing=smoothing)
    return Coverage(int((counts > 0).sum()), len(reference), divergence)


def kl_divergence(counts: Tensor, reference: Tensor, *, smoothing: float = 0.0) -> float:
    """``KL(p ‖ q) = Σ p log(p/q)`` in nats, of histograms ``(K,)`` that are divided by their sums.

    ``smoothing`` is added to each bin of both first (1/2: Jeffreys 1946), without which an empty
    bin of the reference makes it infinite. Of n samples it is biased up by about (K − 1)/(2n).

    Raises
    ------
    ValueError
        Shapes that differ, negative or no counts.
    """
    same = counts.shape == reference.shape
    require(same, "counts", expected=f"shape {tuple(reference.shape)}", got=tuple(counts.shape))
    p, q = (histogram.double() + smoothing for histogram in (counts, reference))
    filled = min(float(p.min()), float(q.min())) >= 0 and float(p.sum()) > 0 < float(q.sum())
    require(filled, "counts", expected="numbers of at least 0, not all 0", got="others")
    p, q = p / p.sum(), q / q.sum()
    divergence = float((torch.xlogy(p, p) - torch.xlogy(p, q)).sum())
    return divergence if math.isinf(divergence) else max(0.0, divergence)
