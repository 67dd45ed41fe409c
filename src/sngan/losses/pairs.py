"""Losses on critic scores: each is a pair, one to minimize for the critic, one for the generator.

``D(x)`` are the scores of real samples, ``D(G(z))`` those of generated ones. A score is the raw
output of the critic. A loss that needs probabilities computes them as ``sigmoid(D)``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from sngan.utils.checks import require, require_same_shape
from sngan.utils.registry import Registry, fitted

__all__ = [
    "LOSSES",
    "GeneratorLoss",
    "LossPair",
    "hinge",
    "least_squares",
    "minimax",
    "non_saturating",
    "relativistic",
    "wasserstein",
]


class GeneratorLoss(Protocol):
    """``loss(fake_scores, real_scores)``, a scalar; only relativistic losses use the second.

    Examples
    --------
    >>> from sngan.losses import hinge
    >>> hinge.generator(torch.tensor([1.0, 2.0]))
    tensor(-1.5000)
    """

    def __call__(self, fake_scores: Tensor, real_scores: Tensor | None = None) -> Tensor:
        """Return the generator's loss."""
        ...


class LossPair(NamedTuple):
    """``critic(real_scores, fake_scores)`` and ``generator(fake_scores, real_scores=None)``.

    Scores may have any shape, and the two shapes may differ: ``(N,)`` or ``(N, 1)`` from a critic
    of vectors, ``(N, 1, h, w)`` from a critic of patches. The result is a scalar, the mean over all
    scores, in the dtype of the scores and at least float32. A ``relativistic`` pair compares real
    and fake scores one by one: they must have equal shapes, and its generator loss needs both.
    ``threshold`` is the score of a sample that is as likely real as generated. It is None for a
    loss of differences of scores, which does not change if all scores grow by one number.

    Attributes
    ----------
    critic, generator
        The two losses.
    relativistic
        Whether the pair compares scores one by one.
    threshold
        The score of a sample that is as likely real as generated, or None.

    Raises
    ------
    ValueError
        If scores are not floating-point or there are none; for a relativistic pair, if the real
        scores are missing, or their shape differs from that of the fake ones.

    Examples
    --------
    >>> hinge.critic(torch.tensor([2.0, 0.0]), torch.tensor([-1.0]))
    tensor(0.5000)
    >>> hinge.generator(torch.tensor([-1.0]))
    tensor(1.)
    >>> LossPair(lambda real, fake: fake.mean() - real.mean(), hinge.generator).threshold is None
    True
    """

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: GeneratorLoss
    relativistic: bool = False
    threshold: float | None = None


def _separable(
    *,
    real: Callable[[Tensor], Tensor],
    fake: Callable[[Tensor], Tensor],
    generator: Callable[[Tensor], Tensor],
    threshold: float | None,
) -> LossPair:
    """Return the pair ``L_D = E real(D(x)) + E fake(D(G(z)))``, ``L_G = E generator(D(G(z)))``."""

    def critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        return _mean(real, real_scores, "real_scores") + _mean(fake, fake_scores, "fake_scores")

    def generator_loss(fake_scores: Tensor, real_scores: Tensor | None = None) -> Tensor:  # noqa: ARG001
        return _mean(generator, fake_scores, "fake_scores")

    return LossPair(critic_loss, generator_loss, threshold=threshold)


def _paired(function: Callable[[Tensor], Tensor]) -> LossPair:
    """Return the pair ``L_D = E f(D(x) − D(G(z)))``, ``L_G = E f(D(G(z)) − D(x))``.

    The i-th real score is compared with the i-th fake score.
    """

    def critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        real = _at_least_float32(real_scores, "real_scores")
        fake = _at_least_float32(fake_scores, "fake_scores")
        require_same_shape(real, fake, ("real_scores", "fake_scores"))
        return function(real - fake).mean()

    def generator_loss(fake_scores: Tensor, real_scores: Tensor | None = None) -> Tensor:
        if real_scores is None:
            raise ValueError(
                "real_scores: expected scores, which a relativistic loss needs, got None"
            )
        return critic_loss(fake_scores, real_scores)

    return LossPair(critic_loss, generator_loss, relativistic=True)


def _mean(function: Callable[[Tensor], Tensor], scores: Tensor, name: str) -> Tensor:
    return function(_at_least_float32(scores, name)).mean()


def _at_least_float32(scores: Tensor, name: str) -> Tensor:
    require(
        scores.is_floating_point() and scores.numel() > 0,
        name,
        expected="at least one floating-point score",
        got=f"{scores.dtype} of shape {tuple(scores.shape)}",
    )
    # in half precision, 1 − score and the mean would have only three digits
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


# F.logsigmoid(s) stays finite where sigmoid(s) rounds to 0, and 1 − sigmoid(s) is sigmoid(−s)
minimax = _separable(
    real=lambda s: -F.logsigmoid(s),
    fake=lambda s: -F.logsigmoid(-s),
    generator=lambda s: F.logsigmoid(-s),
    threshold=0.0,
)
"""The zero-sum game of Goodfellow et al. 2014, arXiv:1406.2661, equation 1.

``L_D = −E log sigmoid(D(x)) − E log(1 − sigmoid(D(G(z))))``, ``L_G = E log(1 − sigmoid(D(G(z))))``.
The generator's gradient vanishes where the critic is sure that a sample is fake.

Examples
--------
>>> from sngan.losses import minimax
>>> real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 0.5])
>>> minimax.critic(real, fake), minimax.generator(fake)
(tensor(1.0537), tensor(-0.6437))
"""

non_saturating = _separable(
    real=lambda s: -F.logsigmoid(s),
    fake=lambda s: -F.logsigmoid(-s),
    generator=lambda s: -F.logsigmoid(s),
    threshold=0.0,
)
"""The loss used in practice by Goodfellow et al. 2014, arXiv:1406.2661, section 3.

``L_D`` is that of :data:`minimax`, and ``L_G = −E log sigmoid(D(G(z)))``. The fixed point is the
same, and the generator's gradient is largest where the critic is sure that a sample is fake.

Examples
--------
>>> from sngan.losses import non_saturating
>>> real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 0.5])
>>> non_saturating.critic(real, fake), non_saturating.generator(fake)
(tensor(1.0537), tensor(0.8937))
"""

least_squares = _separable(
    real=lambda s: 0.5 * (s - 1).square(),
    fake=lambda s: 0.5 * s.square(),
    generator=lambda s: 0.5 * (s - 1).square(),
    threshold=0.5,
)
"""Least squares of Mao et al. 2017, arXiv:1611.04076, equation 9.

``L_D = ½ E (D(x) − 1)² + ½ E D(G(z))²``, ``L_G = ½ E (D(G(z)) − 1)²``. The critic's targets are 1
for real samples and 0 for fake ones; the generator's target is 1.

Examples
--------
>>> from sngan.losses import least_squares
>>> real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 0.5])
>>> least_squares.critic(real, fake), least_squares.generator(fake)
(tensor(0.8125), tensor(1.0625))
"""

wasserstein = _separable(
    real=lambda s: -s, fake=lambda s: s, generator=lambda s: -s, threshold=None
)
"""The Wasserstein loss of Arjovsky, Chintala, Bottou 2017, arXiv:1701.07875.

``L_D = E D(G(z)) − E D(x)``, ``L_G = −E D(G(z))``. If the critic is 1-Lipschitz, ``−L_D`` is a
lower bound of the Wasserstein distance W₁; without a constraint on the critic, L_D has no minimum.

Examples
--------
>>> from sngan.losses import wasserstein
>>> real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 0.5])
>>> wasserstein.critic(real, fake), wasserstein.generator(fake)
(tensor(-1.2500), tensor(0.2500))
"""

hinge = _separable(
    real=lambda s: F.relu(1 - s), fake=lambda s: F.relu(1 + s), generator=torch.neg, threshold=0.0
)
"""The hinge loss of Lim, Ye 2017, arXiv:1705.02894, and Tran et al. 2017, arXiv:1702.08896.

``L_D = E max(0, 1 − D(x)) + E max(0, 1 + D(G(z)))``, ``L_G = −E D(G(z))``; equations 16 and 17 of
Miyato et al. 2018, arXiv:1802.05957. At the kinks, ``D(x) = 1`` and ``D(G(z)) = −1``, the
gradient is 0.

Examples
--------
>>> from sngan.losses import hinge
>>> real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 0.5])
>>> hinge.critic(real, fake), hinge.generator(fake)
(tensor(1.2500), tensor(0.2500))
"""

relativistic = _paired(lambda difference: -F.logsigmoid(difference))
"""The relativistic pairing loss of Jolicoeur-Martineau 2018, arXiv:1807.00734.

``L_D = E log(1 + exp(−(D(x) − D(G(z)))))``, ``L_G = E log(1 + exp(−(D(G(z)) − D(x))))``. Each fake
score is compared with a real one, so that the generator pays for every mode that it drops (Sun et
al. 2020, arXiv:2011.04926). It is the loss of R3GAN, Huang et al. 2024, arXiv:2501.05441.

Examples
--------
>>> from sngan.losses import relativistic
>>> real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 0.5])
>>> relativistic.critic(real, fake), relativistic.generator(fake, real)
(tensor(0.5113), tensor(1.7613))
"""


def _as_loss(part: Any, name: str) -> LossPair:
    """Make a pair of another author's ``(critic_loss, generator_loss)``.

    The generator's loss takes the fake scores, and in a relativistic pair the real ones too.
    """
    if isinstance(part, LossPair):
        return part
    pair = part if isinstance(part, tuple | list) else _attributes(part)
    is_pair = len(pair) == 2 and all(map(callable, pair))
    expected = "a sngan.losses.LossPair, or the functions (critic_loss, generator_loss)"
    require(is_pair, "method.loss", expected=expected, got=f"{name}, {part!r}")
    return LossPair(pair[0], fitted(pair[1], 2, "method.loss"))


def _attributes(part: Any) -> list[Any]:
    return [getattr(part, name, None) for name in ("critic", "generator")]


LOSSES: Registry[LossPair] = Registry(
    "losses",
    {
        "minimax": minimax,
        "non_saturating": non_saturating,
        "least_squares": least_squares,
        "wasserstein": wasserstein,
        "hinge": hinge,
        "relativistic": relativistic,
    },
    argument="method.loss",
    convert=_as_loss,
)
"""The losses by name. The name ``package.module:object`` gives a loss of your own.

Examples
--------
>>> from sngan.losses import LOSSES
>>> list(LOSSES)
['minimax', 'non_saturating', 'least_squares', 'wasserstein', 'hinge', 'relativistic']
"""
