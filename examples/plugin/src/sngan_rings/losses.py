"""A loss on critic scores, and a penalty on the critic's slope."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from sngan import penalties
from sngan.losses import LossPair


def _critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    return F.softplus(1 - real_scores).mean() + F.softplus(1 + fake_scores).mean()


def _generator_loss(fake_scores: Tensor, real_scores: Tensor | None = None) -> Tensor:
    return -fake_scores.mean()


# a hinge without its kink
smooth_hinge = LossPair(_critic_loss, _generator_loss, threshold=0.0)


def slope_at_real(critic: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Penalize the critic's slope at real samples; a penalty may leave out the fake ones."""
    return penalties.r1(critic, real)
