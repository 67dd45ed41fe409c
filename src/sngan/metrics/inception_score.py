"""The Inception Score of a classifier's logits."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sngan.metrics.features import as_features
from sngan.utils.checks import require_count
from sngan.utils.real_arrays import Reals


class InceptionScore(NamedTuple):
    """The mean ``score`` over the splits, and the ``deviation`` between them."""

    score: float
    deviation: float


def inception_score(logits: Reals, *, splits: int = 10) -> InceptionScore:
    """``exp(E KL(p(y|x) ‖ p(y)))``, the mean over ``splits`` consecutive parts of the samples.

    Between 1 and the number of classes; biased down at few samples a split. By the original code
    it is on logits without their bias, in 10 splits of 5,000. Source: Salimans et al. 2016,
    arXiv:1606.03498.

    Parameters
    ----------
    logits
        ``(n, classes)``, n of at least ``splits``.
    splits
        Of nearly equal size.

    Raises
    ------
    ValueError
        If logits have another shape, are fewer than the splits, or are not finite.
    """
    require_count(splits, "splits")
    log_p = as_features(logits, "logits", minimum=splits).log_softmax(1)
    scores = torch.stack([_score(part) for part in log_p.tensor_split(splits)])
    return InceptionScore(float(scores.mean()), float(scores.std(correction=0)))


def _score(log_p: Tensor) -> Tensor:
    log_mean = log_p.logsumexp(0) - math.log(len(log_p))
    return (log_p.exp() * (log_p - log_mean)).sum(1).mean().exp()
