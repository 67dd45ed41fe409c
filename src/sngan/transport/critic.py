"""The lower bound of W1 that any Lipschitz critic gives."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sngan._checks import require, require_number
from sngan.transport._points import Values, as_weights

_BATCH = 1024


@torch.no_grad()
def critic_bound(
    critic: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    lipschitz: float,
    *,
    weights_x: Values | None = None,
    weights_y: Values | None = None,
) -> float:
    """Lower bound ``(E f(x) − E f(y)) / L ≤ W_1`` of Kantorovich and Rubinstein.

    It holds for every critic whose Lipschitz constant, from the Euclidean norm of a whole sample
    to its score, is at most ``L``. A poor critic gives a low bound, zero or less where it scores
    ``y`` above ``x``, and that is valid still. It is as certified as ``lipschitz`` is: an estimate
    that approaches the constant from below proves nothing. The means are summed in float64; the
    scores come in the critic's own precision. Source: Villani 2009, Optimal Transport, remark
    6.5; Arjovsky, Chintala, Bottou 2017, arXiv:1701.07875, equation 2.

    Parameters
    ----------
    critic
        Maps ``(N, ...)`` to scores ``(N,)`` or ``(N, 1)``, each sample by itself (no batch norm in
        training mode). Called without gradients on batches of 1024 at most.
    x, y
        Samples ``(n, ...)`` and ``(m, ...)``, vectors or images, on the critic's device.
    lipschitz
        ``L > 0``, in score per unit of sample.
    weights_x, weights_y
        As in :func:`sngan.transport.wasserstein`.

    Returns
    -------
    float
        The bound, in units of the samples.

    Raises
    ------
    ValueError
        ``lipschitz`` is not a positive number; samples that are none or of different shapes;
        scores of another shape, or not finite.
    """
    require_number(lipschitz, "lipschitz", above=0.0)
    _require_samples(x, "x")
    _require_samples(y, "y")
    require(
        x.shape[1:] == y.shape[1:],
        "y",
        expected=f"samples of shape {tuple(x.shape[1:])}, as x",
        got=tuple(y.shape[1:]),
    )
    mean_x = _mean_score(critic, x, weights_x, "weights_x")
    mean_y = _mean_score(critic, y, weights_y, "weights_y")
    return (mean_x - mean_y) / lipschitz


def _mean_score(
    critic: Callable[[Tensor], Tensor], samples: Tensor, weights: Values | None, name: str
) -> float:
    shares = as_weights(weights, len(samples), name)
    scores = torch.cat([_scores(critic, batch) for batch in samples.split(_BATCH)])
    return math.fsum(shares * scores.numpy())


def _scores(critic: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    scores = critic(batch).detach()
    require(
        scores.shape in ((len(batch),), (len(batch), 1)),
        "critic",
        expected=f"scores of shape ({len(batch)},) or ({len(batch)}, 1)",
        got=f"shape {tuple(scores.shape)}",
    )
    require(bool(scores.isfinite().all()), "critic", expected="finite scores", got="NaN or inf")
    return scores.reshape(-1).cpu().double()


def _require_samples(samples: Tensor, name: str) -> None:
    require(
        isinstance(samples, Tensor) and samples.is_floating_point() and samples.dim() > 0,
        name,
        expected="floating-point samples, a tensor (n, ...)",
        got=getattr(samples, "dtype", type(samples).__name__),
    )
    require(samples.numel() > 0, name, expected="at least one sample", got="none")
    require(bool(samples.isfinite().all()), name, expected="finite values", got="NaN or inf")
