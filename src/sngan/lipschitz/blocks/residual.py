"""Residual blocks: means of the input and a branch, with equal or with learned weights."""

import torch
from torch import Tensor, nn


class AveragedResidual(nn.Module):
    """``y = (x + branch(x))/2``: its constant is at most ``(1 + Lip(branch))/2``.

    The branch must keep the shape.

    Examples
    --------
    >>> import torch
    >>> AveragedResidual(nn.ReLU())(torch.tensor([-2.0, 2.0]))
    tensor([-1.,  2.])
    """

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of the input and the branch's output."""
        return (x + self.branch(x)) / 2


class LearnedResidual(nn.Module):
    """``y = a·x + (1 − a)·branch(x)`` with a learned weight ``a = sigmoid(logit)``.

    Its constant is at most ``a + (1 − a)·Lip(branch)``, so it is 1-Lipschitz if the branch is. The
    branch must keep the shape. The first weight is 1/2. Source: the residual layer of Serrurier et
    al. 2021, arXiv:2006.06520, in their library.

    Examples
    --------
    >>> LearnedResidual(nn.ReLU())(torch.tensor([-2.0, 2.0])).tolist()
    [-1.0, 2.0]
    """

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.logit = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighted mean of the input and the branch's output."""
        weight = self.logit.sigmoid()
        return weight * x + (1 - weight) * self.branch(x)
