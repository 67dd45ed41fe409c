"""Losses: pairs for critic and generator, and losses of 1-Lipschitz classifiers.

Examples
--------
>>> import torch
>>> from sngan import losses
>>> losses.hinge.critic(torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 0.5]))
tensor(1.2500)
>>> losses.kr(torch.tensor([2.0, 0.0]), torch.tensor([1, 0]))
tensor(-2.)
"""

from sngan.losses.margins import hkr as hkr
from sngan.losses.margins import kr as kr
from sngan.losses.margins import margin_cross_entropy as margin_cross_entropy
from sngan.losses.margins import multiclass_hkr as multiclass_hkr
from sngan.losses.pairs import LOSSES as LOSSES
from sngan.losses.pairs import GeneratorLoss as GeneratorLoss
from sngan.losses.pairs import LossPair as LossPair
from sngan.losses.pairs import hinge as hinge
from sngan.losses.pairs import least_squares as least_squares
from sngan.losses.pairs import minimax as minimax
from sngan.losses.pairs import non_saturating as non_saturating
from sngan.losses.pairs import relativistic as relativistic
from sngan.losses.pairs import wasserstein as wasserstein

__all__ = [
    "LOSSES",
    "GeneratorLoss",
    "LossPair",
    "hinge",
    "hkr",
    "kr",
    "least_squares",
    "margin_cross_entropy",
    "minimax",
    "multiclass_hkr",
    "non_saturating",
    "relativistic",
    "wasserstein",
]
