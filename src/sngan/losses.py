"""Losses on critic scores: each a pair, for the critic and for the generator, both to minimize.

``D(x)`` are scores of real samples, ``D(G(z))`` of generated ones. A score is the critic's raw
output: a logit, where a loss reads it as a probability ``sigmoid(D)``.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from sngan.utils.checks import require, require_same_shape


class GeneratorLoss(Protocol):
    """``loss(fake_scores, real_scores)``, a scalar; only a relativistic loss needs the second."""

    def __call__(self, fake_scores: Tensor, real_scores: Tensor | None = None) -> Tensor:
        """Return the generator's loss."""
        ...


class LossPair(NamedTuple):
    """``critic(real_scores, fake_scores)`` and ``generator(fake_scores, real_scores=None)``.

    Scores have any shape, each argument its own: ``(N,)`` or ``(N, 1)`` from a critic of vectors,
    ``(N, 1, h, w)`` from one of patches. The result is a scalar, the mean over all scores, in the
    dtype of the scores and at least float32. A ``relativistic`` pair compares real and fake scores
    one by one: both have one shape, and its generator loss needs the real ones too.

    Raises
    ------
    ValueError
        The scores are not floating-point, or there are none; real scores that a relativistic loss
        misses, or of another shape than the fake ones.
    """

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: GeneratorLoss
    relativistic: bool = False


def _separable(
    *,
    real: Callable[[Tensor], Tensor],
    fake: Callable[[Tensor], Tensor],
    generator: Callable[[Tensor], Tensor],
) -> LossPair:
    """``L_D = E real(D(x)) + E fake(D(G(z)))`` and ``L_G = E generator(D(G(z)))``."""

    def critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        return _mean(real, real_scores, "real_scores") + _mean(fake, fake_scores, "fake_scores")

    def generator_loss(fake_scores: Tensor, real_scores: Tensor | None = None) -> Tensor:  # noqa: ARG001
        return _mean(generator, fake_scores, "fake_scores")

    return LossPair(critic_loss, generator_loss)


def _paired(function: Callable[[Tensor], Tensor]) -> LossPair:
    """``L_D = E f(D(x) − D(G(z)))`` and ``L_G = E f(D(G(z)) − D(x))``, pair by pair."""

    def critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        real, fake = _wide(real_scores, "real_scores"), _wide(fake_scores, "fake_scores")
        require_same_shape(real, fake, ("real_scores", "fake_scores"))
        return function(real - fake).mean()

    def generator_loss(fake_scores: Tensor, real_scores: Tensor | None = None) -> Tensor:
        if real_scores is None:
            raise ValueError("real_scores: expected those of a relativistic loss, got None")
        return critic_loss(fake_scores, real_scores)

    return LossPair(critic_loss, generator_loss, relativistic=True)


def _mean(function: Callable[[Tensor], Tensor], scores: Tensor, name: str) -> Tensor:
    return function(_wide(scores, name)).mean()


def _wide(scores: Tensor, name: str) -> Tensor:
    require(
        scores.is_floating_point() and scores.numel() > 0,
        name,
        expected="at least one floating-point score",
        got=f"{scores.dtype} of shape {tuple(scores.shape)}",
    )
    # in half precision 1 − score and the mean would keep three digits
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


# log sigmoid(s) stays finite where sigmoid(s) rounds to 0, and 1 − sigmoid(s) is sigmoid(−s)
minimax = _separable(
    real=lambda s: -F.logsigmoid(s),
    fake=lambda s: -F.logsigmoid(-s),
    generator=lambda s: F.logsigmoid(-s),
)
"""The zero-sum game of Goodfellow et al. 2014, arXiv:1406.2661, equation 1.

``L_D = −E log sigmoid(D(x)) − E log(1 − sigmoid(D(G(z))))``, ``L_G = E log(1 − sigmoid(D(G(z))))``.
The generator's gradient vanishes where the critic is sure that a sample is fake.
"""

non_saturating = _separable(
    real=lambda s: -F.logsigmoid(s),
    fake=lambda s: -F.logsigmoid(-s),
    generator=lambda s: -F.logsigmoid(s),
)
"""The form that trains, of Goodfellow et al. 2014, arXiv:1406.2661, section 3.

``L_D`` of :data:`minimax`; ``L_G = −E log sigmoid(D(G(z)))``, of the same fixed point, with a
gradient that is largest where the critic is sure.
"""

least_squares = _separable(
    real=lambda s: 0.5 * (s - 1).square(),
    fake=lambda s: 0.5 * s.square(),
    generator=lambda s: 0.5 * (s - 1).square(),
)
"""Mao et al. 2017, arXiv:1611.04076, equation 9: targets 1 for real, 0 for fake, 1 for G.

``L_D = ½ E (D(x) − 1)² + ½ E D(G(z))²``, ``L_G = ½ E (D(G(z)) − 1)²``.
"""

wasserstein = _separable(real=lambda s: -s, fake=lambda s: s, generator=lambda s: -s)
"""Arjovsky, Chintala, Bottou 2017, arXiv:1701.07875.

``L_D = E D(G(z)) − E D(x)``, ``L_G = −E D(G(z))``. For a 1-Lipschitz critic ``−L_D`` is a lower
bound of the Wasserstein distance W₁; without a constraint on the critic it has none.
"""

hinge = _separable(real=lambda s: F.relu(1 - s), fake=lambda s: F.relu(1 + s), generator=torch.neg)
"""Lim, Ye 2017, arXiv:1705.02894; Tran et al. 2017, arXiv:1702.08896; Miyato et al. 2018.

``L_D = E max(0, 1 − D(x)) + E max(0, 1 + D(G(z)))``, ``L_G = −E D(G(z))``; equations 16 and 17 of
Miyato et al. 2018, arXiv:1802.05957. At the kinks, ``D(x) = 1`` and ``D(G(z)) = −1``, the
gradient is 0.
"""

relativistic = _paired(lambda difference: -F.logsigmoid(difference))
"""The relativistic pairing loss of Jolicoeur-Martineau 2018, arXiv:1807.00734.

``L_D = E log(1 + exp(−(D(x) − D(G(z)))))``, ``L_G = E log(1 + exp(−(D(G(z)) − D(x))))``. A fake is
judged beside a real sample, so that no mode can be dropped at no cost (Sun et al. 2020,
arXiv:2011.04926); the loss of R3GAN, Huang et al. 2024, arXiv:2501.05441.
"""

LOSSES: dict[str, LossPair] = {
    "minimax": minimax,
    "non_saturating": non_saturating,
    "least_squares": least_squares,
    "wasserstein": wasserstein,
    "hinge": hinge,
    "relativistic": relativistic,
}
