"""Householder activation: each pair of channels is reflected on one side of a learned line."""

import math

import torch
from torch import Tensor, nn

from sngan.utils.checks import require, require_count


class HouseholderActivation(nn.Module):
    r"""Reflects each pair of neighbouring channels that lies below a learned line.

    ``(N, channels, *) → (N, channels, *)``. With the unit normal
    :math:`n = (\sin θ/2, -\cos θ/2)` of a pair, a pair z with :math:`⟨n, z⟩ < 0` becomes its
    mirror image :math:`z - 2⟨n, z⟩n`. The map is continuous, and an isometry on both sides. So it
    keeps the norm of gradients, and its constant is 1. The first angles are :math:`θ = π/2`, which
    is :class:`MaxMin` with the larger value first. Source: Singla, Singla, Feizi 2022,
    arXiv:2108.04062.

    Parameters
    ----------
    channels
        The number of channels, which is even.

    Raises
    ------
    ValueError
        If the number of channels is odd or below 2; in the forward pass, if the input has another
        number of channels.

    Examples
    --------
    >>> HouseholderActivation(4)(torch.tensor([[1.0, 2.0, 4.0, 3.0]])).round(decimals=5)
    tensor([[2., 1., 4., 3.]], grad_fn=<RoundBackward1>)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        require_count(channels, "channels", minimum=2)
        require(channels % 2 == 0, "channels", expected="an even number", got=channels)
        self.angle = nn.Parameter(torch.full((channels // 2,), math.pi / 2))

    def forward(self, x: Tensor) -> Tensor:
        """Return the tensor with pairs reflected."""
        channels = 2 * len(self.angle)
        require(
            x.dim() > 1 and x.shape[1] == channels,
            "x",
            expected=f"{channels} channels in dimension 1",
            got=tuple(x.shape),
        )
        half = (self.angle / 2).to(x.dtype)
        normal = torch.stack([half.sin(), -half.cos()], dim=1)
        normal = normal.reshape(1, -1, 2, *[1] * (x.dim() - 2))
        pairs = x.unflatten(1, (-1, 2))
        below = (normal * pairs).sum(2, keepdim=True).clamp(max=0)
        return (pairs - 2 * below * normal).flatten(1, 2)

    def extra_repr(self) -> str:
        """Return the number of channels for ``repr``."""
        return str(2 * len(self.angle))
