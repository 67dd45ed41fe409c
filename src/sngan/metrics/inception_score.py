"""Inception Score: whether a classifier is sure of each sample, and finds all classes."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sngan.metrics.features import as_features
from sngan.utils.checks import require_count
from sngan.utils.real_arrays import Reals


class InceptionScore(NamedTuple):
    """The mean ``score`` of the splits and its standard ``deviation`` between them.

    Examples
    --------
    >>> from sngan.metrics import inception_score
    >>> found = inception_score(torch.zeros(10, 3), splits=2)  # a classifier that knows nothing
    >>> round(found.score, 6), round(found.deviation, 6)
    (1.0, 0.0)
    """

    score: float
    deviation: float


def inception_score(logits: Reals, *, splits: int = 10) -> InceptionScore:
    """Inception Score ``exp(E_x KL(p(y|x) ‖ p(y)))``, the mean over consecutive splits.

    It lies between 1 and the number of classes. Its bias is downward if a split has few samples.
    The original code uses 10 splits of 5,000 samples, and logits without the bias of the last
    layer.

    Source: Salimans et al. 2016, arXiv:1606.03498.

    Parameters
    ----------
    logits
        The classifier's logits ``(n, classes)`` of generated samples, n ≥ ``splits``.
    splits
        The number of splits, which have nearly equal size.

    Raises
    ------
    ValueError
        If logits have another shape, are fewer than the splits, or are not finite.

    Examples
    --------
    A sure classifier that finds all of five classes equally often gives the largest score, 5:

    >>> import torch
    >>> from sngan.metrics import inception_score
    >>> logits = 100 * torch.eye(5).repeat(20, 1)
    >>> round(inception_score(logits, splits=2).score, 6)
    5.0
    """
    require_count(splits, "splits")
    log_p = as_features(logits, "logits", minimum=splits).log_softmax(1)
    scores = torch.stack([_score(part) for part in log_p.tensor_split(splits)])
    return InceptionScore(float(scores.mean()), float(scores.std(correction=0)))


def _score(log_p: Tensor) -> Tensor:
    log_mean = log_p.logsumexp(0) - math.log(len(log_p))
    return (log_p.exp() * (log_p - log_mean)).sum(1).mean().exp()
