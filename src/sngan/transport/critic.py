"""Critic bound: the lower bound of ``W_1`` that any Lipschitz critic gives."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sngan.transport.points import EPSILON, as_weights, exponent_of
from sngan.utils.checks import require, require_number
from sngan.utils.real_arrays import Array, Reals, require_dense

_BATCH = 1024
_PLAIN = 900  # scores are scaled before they are summed if their exponent exceeds this


@torch.no_grad()
def critic_bound(
    critic: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    lipschitz: float,
    *,
    weights_x: Reals | None = None,
    weights_y: Reals | None = None,
) -> float:
    """Lower bound ``(E f(x) − E f(y)) / L ≤ W_1`` of Kantorovich and Rubinstein.

    It holds for every critic ``f`` whose Lipschitz constant, from the Euclidean norm of a whole
    sample to its score, is at most ``L``. A poor critic gives a low bound. A critic that scores
    ``y`` above ``x`` gives a negative bound, which still holds. The bound is proved only if
    ``lipschitz`` is a proved constant. An estimate that approaches the constant from below proves
    nothing.

    The means are summed in float64. The bound is lowered by the rounding of these sums and by the
    rounding of the scores, which is one part in 2^24 of a float32 score. It does not allow for
    rounding inside the critic.

    Sources: Villani 2009, Optimal Transport, remark 6.5; Arjovsky, Chintala, Bottou 2017,
    arXiv:1701.07875, equation 2.

    Parameters
    ----------
    critic
        Maps ``(N, ...)`` to scores ``(N,)`` or ``(N, 1)``, each sample independently (no batch norm
        in training mode). It is called without gradients on batches of at most 1024.
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
        If ``lipschitz`` is not a positive number, there are no samples, samples are sparse or have
        different shapes, or scores have another shape or type or are not finite.

    Examples
    --------
    The critic ``f(x) = x`` has Lipschitz constant 1, and proves that a shift by 3 costs 3:

    >>> import torch
    >>> from sngan import critic_bound
    >>> x, y = torch.tensor([[3.0], [4.0]]), torch.tensor([[0.0], [1.0]])
    >>> round(critic_bound(lambda points: points[:, 0], x, y, 1.0), 5)
    3.0
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
    shares_x = as_weights(weights_x, len(x), "weights_x")
    shares_y = as_weights(weights_y, len(y), "weights_y")
    shares = np.concatenate([shares_x / math.fsum(shares_x), -shares_y / math.fsum(shares_y)])
    batches = (*x.split(_BATCH), *y.split(_BATCH))
    scores, errors = np.concatenate([_scores(critic, batch) for batch in batches], axis=1)
    # scaled so that no sum overflows; terms that underflow lose less than 2^-1070 in total
    exponent = exponent_of(scores)
    exponent = exponent if abs(exponent) > _PLAIN else 0
    scores, errors = np.ldexp(scores, -exponent), np.ldexp(errors, -exponent)
    # a common offset cancels between the two means: subtract it, because it only adds rounding
    terms = shares * (scores - np.median(scores))
    lost = math.fsum(np.abs(shares) * errors) + 4 * EPSILON * math.fsum(np.abs(terms))
    lost += 2.0**-1070 if exponent else 0.0
    fraction, own = math.frexp(lipschitz)
    with np.errstate(over="ignore"):
        bound = np.ldexp((math.fsum(terms) - lost) / fraction, exponent - own)
    return math.nextafter(float(bound), -math.inf)


def _scores(critic: Callable[[Tensor], Tensor], batch: Tensor) -> Array:
    """The scores of a batch, and a bound of the rounding error of each: ``(2, n)``."""
    scores: object = critic(batch)
    expected = "floating-point scores, a tensor"
    if not isinstance(scores, Tensor) or not scores.is_floating_point():
        got = getattr(scores, "dtype", type(scores).__name__)
        raise ValueError(f"critic: expected {expected}, got {got}")
    require_dense(scores, "critic", expected=expected)
    require(
        scores.shape in ((len(batch),), (len(batch), 1)),
        "critic",
        expected=f"scores of shape ({len(batch)},) or ({len(batch)}, 1)",
        got=f"shape {tuple(scores.shape)}",
    )
    require(bool(scores.isfinite().all()), "critic", expected="finite scores", got="NaN or inf")
    values = scores.detach().reshape(-1).cpu().double().numpy()
    half = torch.finfo(scores.dtype).eps / 2
    return np.stack([values, half * np.abs(values)])


def _require_samples(samples: Tensor, name: str) -> None:
    expected = "floating-point samples, a tensor (n, ...)"
    got = getattr(samples, "dtype", type(samples).__name__)
    require(isinstance(samples, Tensor), name, expected=expected, got=got)
    require_dense(samples, name, expected=expected)
    require(samples.dim() > 0, name, expected=expected, got="a scalar")
    require(samples.numel() > 0, name, expected="at least one sample", got="none")
    require(bool(samples.isfinite().all()), name, expected="finite values", got="NaN or inf")
