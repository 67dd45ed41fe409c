"""Mode coverage: modes of a known mixture, or classes that a classifier finds, and their KL."""

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
    """The classes that samples cover, and their divergence from a reference.

    Attributes
    ----------
    covered, total
        The classes with a sample, and all classes.
    divergence
        ``KL(p ‖ q) = Σ p log(p/q)`` of the samples' classes from the reference, in nats.

    Examples
    --------
    >>> import torch
    >>> from sngan.metrics import class_coverage
    >>> class_coverage(torch.tensor([0, 1, 0, 1]), torch.tensor([5, 5]))
    Coverage(covered=2, total=2, divergence=0.0)
    """

    covered: int
    total: int
    divergence: float


class MixtureCoverage(NamedTuple):
    """The columns of published tables about mixtures, and the share of the rarest mode.

    Attributes
    ----------
    covered, total
        The modes that samples cover, and all modes.
    divergence
        ``KL(p ‖ equal weights)`` of the samples' modes, in nats.
    high_quality
        The share of samples within 3 standard deviations of a centre.
    smallest_share
        The share of samples in the mode that has the fewest.

    Examples
    --------
    >>> from sngan.data import MIXTURES
    >>> from sngan.metrics import mixture_coverage
    >>> found = mixture_coverage(MIXTURES["grid25"].centres, MIXTURES["grid25"])
    >>> found.covered, found.total, found.high_quality, found.smallest_share
    (25, 25, 1.0, 0.04)
    """

    covered: int
    total: int
    divergence: float
    high_quality: float
    smallest_share: float

    def to_dict(self) -> dict[str, int | float]:
        """Return the figures by the names that records and tables use."""
        return {
            "modes": self.covered,
            "modes_of": self.total,
            "high_quality": self.high_quality,
            "reverse_kl": self.divergence,
            "smallest_share": self.smallest_share,
        }


def mixture_coverage(points: Reals, mixture: Mixture) -> MixtureCoverage:
    """Count the modes of a mixture of Gaussians that samples cover.

    A sample belongs to the nearest centre, and is of high quality if it lies within 3 standard
    deviations of it. One sample of high quality covers a mode. The divergence is
    ``KL(samples' modes ‖ equal weights)`` in nats, over all samples. It is also called reverse KL.
    For n samples with equal weights of K modes it is about ``(K − 1)/(2n)`` and not 0.

    Sources: Srivastava et al. 2017, arXiv:1705.07761; Lin et al. 2018, arXiv:1712.04086.

    Parameters
    ----------
    points
        Generated points ``(n, dim)``.
    mixture
        One of :data:`sngan.data.MIXTURES`.

    Raises
    ------
    ValueError
        If there are no points, they are not floating-point numbers ``(n, dim)`` of the mixture's
        dimension, or they are not finite.

    Examples
    --------
    Points on 3 of 8 centres: ``KL = log(8/3)`` nats.

    >>> from sngan.data import MIXTURES
    >>> from sngan.metrics import mixture_coverage
    >>> found = mixture_coverage(MIXTURES["ring8"].centres[:3], MIXTURES["ring8"])
    >>> found.covered, found.total, found.high_quality, round(found.divergence, 4)
    (3, 8, 1.0, 0.9808)
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
        smallest_share=int(counts.min()) / len(mode),
    )


def class_coverage(classes: Reals, reference: Reals, *, smoothing: float = 0.0) -> Coverage:
    """Count the classes that samples cover, and compare their frequencies with a reference.

    A class is covered by one sample. The divergence is :func:`kl_divergence` of the samples'
    histogram from the reference, in nats.

    Parameters
    ----------
    classes
        The class of each sample, integers ``(n,)`` from 0 to K − 1.
    reference
        The count or weight of each class, ``(K,)``.
    smoothing
        As in :func:`kl_divergence`.

    Raises
    ------
    ValueError
        If classes are not integers ``(n,)`` from 0 to K − 1, or :func:`kl_divergence` would raise.

    Examples
    --------
    >>> import torch
    >>> from sngan.metrics import class_coverage
    >>> found = class_coverage(torch.tensor([0, 0, 1, 1]), torch.ones(4))
    >>> found.covered, found.total, round(found.divergence, 4)
    (2, 4, 0.6931)
    """
    weights = _histogram(reference, "reference")
    counts = torch.bincount(_indices(classes, len(weights)), minlength=len(weights))
    divergence = kl_divergence(counts, weights, smoothing=smoothing)
    return Coverage(int((counts > 0).sum()), len(weights), divergence)


def kl_divergence(counts: Reals, reference: Reals, *, smoothing: float = 0.0) -> float:
    """Kullback-Leibler divergence ``KL(p ‖ q) = Σ p log(p/q)`` in nats of two histograms.

    Each histogram is divided by its sum. For n samples from ``q`` the bias is upward, by about
    ``(K − 1)/(2n)``.

    Parameters
    ----------
    counts
        The histogram ``p``, ``(K,)``.
    reference
        The histogram ``q``, ``(K,)``.
    smoothing
        Added to every bin of both histograms first; 1/2 is the prior of Jeffreys 1946. Without it
        the divergence is infinite if an empty bin of the reference has counts.

    Raises
    ------
    ValueError
        If shapes differ, counts are negative, all zero or not finite, or ``smoothing`` is negative.

    Examples
    --------
    >>> import torch
    >>> from sngan.metrics import kl_divergence
    >>> round(kl_divergence(torch.tensor([3, 1]), torch.tensor([1, 1])), 4)
    0.1308
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
    """Counts or weights ``(K,)`` in float64."""
    expected = "numbers (K,), K of at least 1"
    bins = real_tensor(values, name, expected=expected, integers=True)
    is_vector = bins.dim() == 1 and len(bins) > 0
    require(is_vector, name, expected=expected, got=f"shape {tuple(bins.shape)}")
    require(bool(bins.isfinite().all()), name, expected="finite numbers", got="nan or inf")
    return bins


def _indices(classes: Reals, count: int) -> Tensor:
    """Classes ``(n,)`` from 0 to count − 1."""
    expected = "integers (n,) of at least 0"
    numbers = real_tensor(classes, "classes", expected=expected, integers=True)
    fits = numbers.dim() == 1 and bool(((numbers >= 0) & (numbers == numbers.floor())).all())
    require(fits, "classes", expected=expected, got=f"others, of shape {tuple(numbers.shape)}")
    most = int(numbers.max()) if len(numbers) else 0
    require(most < count, "classes", expected=f"integers from 0 to {count - 1}", got=most)
    return numbers.long()
