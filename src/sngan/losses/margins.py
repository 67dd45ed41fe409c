"""Losses of 1-Lipschitz classifiers, whose margins are certified radii.

A function with Lipschitz constant 1 has bounded slopes but free margins. These losses ask for
margins, and do not reward logits of any size. ``labels`` are 0 or 1 (also as booleans) for one
score a sample, and class numbers for logits. No loss waits for the device, so labels out of range
are not checked, except by torch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sngan.utils.checks import require, require_number


def kr(scores: Tensor, labels: Tensor) -> Tensor:
    r"""Return the Kantorovich–Rubinstein loss :math:`E_{y=0} f(x) - E_{y=1} f(x)`.

    For a 1-Lipschitz f, ``−kr`` is a lower bound of the Wasserstein distance W₁ between the two
    classes, and the best f attains it. A class without samples in the batch counts as 0. Scores
    and labels are ``(N,)`` or ``(N, 1)``; the result is a scalar in at least float32. Source:
    Arjovsky, Chintala, Bottou 2017, arXiv:1701.07875.

    Raises
    ------
    ValueError
        If there is no score, the scores are not floating-point, or labels have another count.

    Examples
    --------
    >>> kr(torch.tensor([1.0, 3.0, -1.0]), torch.tensor([1, 1, 0]))
    tensor(-3.)
    """
    scores, positive = _scores_and_labels(scores, labels)
    return _kr(scores, positive[:, None])


def hkr(scores: Tensor, labels: Tensor, *, alpha: float = 0.95, margin: float = 1.0) -> Tensor:
    r"""Return the hinge Kantorovich–Rubinstein loss, :math:`(1-α)\,kr + α\,E\max(0, m - ±f(x))`.

    The sign is + for label 1 and − for label 0. A 1-Lipschitz f with ``±f(x) ≥ m`` decides right on
    the ball of radius m around x. In the paper's form ``kr + λ·hinge``, λ is ``α/(1 − α)``. Source:
    Serrurier et al. 2021, arXiv:2006.06520, equation 11.

    Parameters
    ----------
    scores, labels
        As for :func:`kr`.
    alpha
        The weight of the hinge, in [0, 1].
    margin
        The margin m, positive, in units of the input.

    Raises
    ------
    ValueError
        If :func:`kr` would raise it, or alpha or the margin is out of its range.

    Examples
    --------
    >>> hkr(torch.tensor([0.5, -2.0]), torch.tensor([1, 0]), alpha=0.5)
    tensor(-1.1250)
    """
    _require_options(alpha, margin)
    scores, positive = _scores_and_labels(scores, labels)
    signs = torch.where(positive, 1.0, -1.0).to(scores.dtype)
    hinge = F.relu(margin - signs * scores[:, 0]).mean()
    return (1 - alpha) * _kr(scores, positive[:, None]) + alpha * hinge


def multiclass_hkr(
    logits: Tensor, labels: Tensor, *, alpha: float = 0.95, margin: float = 1.0
) -> Tensor:
    r"""Return the mean over classes of :func:`hkr` of each class against the rest.

    :math:`(1-α)\,\frac1K\sum_k kr_k + \frac α2 E[\max(0, m - f_y) + \frac1{K-1}\sum_{k≠y}\max(0, m
    + f_k)]`: in the hinge, a sample's own class weighs as much as all others together. For two
    classes with ``f_0 = −f_1`` it is :func:`hkr` of ``f_1``. Source: Serrurier et al. 2021,
    arXiv:2006.06520, section 4.3.

    Parameters
    ----------
    logits
        ``(N, K)`` for K ≥ 2 classes.
    labels
        Class numbers ``(N,)``.
    alpha, margin
        As for :func:`hkr`.

    Raises
    ------
    ValueError
        If logits have another shape, labels are not integers or have another count, or alpha or the
        margin is out of its range.

    Examples
    --------
    >>> logits = torch.tensor([[2.0, -2.0], [-1.0, 1.0]])
    >>> multiclass_hkr(logits, torch.tensor([0, 1]), alpha=0.5)
    tensor(-1.5000)
    """
    _require_options(alpha, margin)
    logits = _checked_logits(logits, labels)
    own = F.one_hot(labels, logits.shape[1]).bool()
    right = F.relu(margin - logits).masked_fill(~own, 0).sum(1)
    wrong = F.relu(margin + logits).masked_fill(own, 0).sum(1) / (logits.shape[1] - 1)
    return (1 - alpha) * _kr(logits, own) + alpha * (right + wrong).mean() / 2


def margin_cross_entropy(
    logits: Tensor, labels: Tensor, *, temperature: float = 1.0, margin: float = 0.0
) -> Tensor:
    r"""Return the cross-entropy of ``τ·(f − m·e_y)``, divided by the temperature τ.

    :math:`\frac1τ E\log\sum_k e^{τ(f_k - f_y + m[k≠y])}`. A 1-Lipschitz network cannot scale its
    logits, so τ decides between accuracy (large) and robustness (small). As τ grows, the loss tends
    to the multiclass hinge :math:`\max(0, m + \max_{k≠y} f_k - f_y)`; as τ falls, its gradient
    tends to that of a mean of :func:`kr` over classes. Sources: Béthune et al. 2022,
    arXiv:2104.05097 (temperature); Prach, Lampert 2022, arXiv:2208.03160 (margin).

    Parameters
    ----------
    logits, labels
        As for :func:`multiclass_hkr`.
    temperature
        τ, positive.
    margin
        m ≥ 0, in units of the logits.

    Raises
    ------
    ValueError
        If :func:`multiclass_hkr` would raise it, or the temperature or the margin is out of its
        range.

    Examples
    --------
    >>> margin_cross_entropy(torch.tensor([[3.0, 0.0]]), torch.tensor([0]), temperature=100.0)
    tensor(0.)
    """
    require_number(temperature, "temperature", above=0.0)
    require_number(margin, "margin", minimum=0.0)
    logits = _checked_logits(logits, labels)
    own = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
    lowered = logits - margin * own
    return F.cross_entropy(temperature * lowered, labels) / temperature


def _kr(scores: Tensor, positive: Tensor) -> Tensor:
    """Return the loss of each column of scores against its booleans, in the mean over columns."""
    counts = positive.sum(0)
    inside = scores.masked_fill(~positive, 0).sum(0) / counts.clamp(min=1)
    outside = scores.masked_fill(positive, 0).sum(0) / (len(scores) - counts).clamp(min=1)
    return (outside - inside).mean()


def _scores_and_labels(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    expected = "floating-point scores of shape (N,) or (N, 1)"
    is_column = scores.dim() in (1, 2) and scores.numel() == len(scores) > 0
    got = f"{scores.dtype} of shape {tuple(scores.shape)}"
    require(scores.is_floating_point() and is_column, "scores", expected=expected, got=got)
    expected = f"{len(scores)} labels, 0 or 1"
    require(labels.numel() == len(scores), "labels", expected=expected, got=tuple(labels.shape))
    return _at_least_float32(scores).reshape(-1, 1), labels.reshape(-1) > 0


def _checked_logits(logits: Tensor, labels: Tensor) -> Tensor:
    is_table = logits.dim() == 2 and len(logits) > 0 and logits.shape[1] > 1
    require(
        logits.is_floating_point() and is_table,
        "logits",
        expected="floating-point logits of shape (N, K) with K of at least 2",
        got=f"{logits.dtype} of shape {tuple(logits.shape)}",
    )
    require(
        labels.shape == logits.shape[:1] and labels.dtype == torch.long,
        "labels",
        expected=f"int64 class numbers of shape ({len(logits)},)",
        got=f"{labels.dtype} of shape {tuple(labels.shape)}",
    )
    return _at_least_float32(logits)


def _at_least_float32(scores: Tensor) -> Tensor:
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def _require_options(alpha: float, margin: float) -> None:
    require_number(alpha, "alpha", minimum=0.0, maximum=1.0)
    require_number(margin, "margin", above=0.0)
