"""Batch centering: the mean of each channel is subtracted, and no variance divides."""

import torch
from torch import Tensor, nn

from sngan.utils.checks import require, require_count, require_number


class BatchCentering(nn.Module):
    """Subtracts the mean of each channel and adds a learned bias.

    ``(N, channels, *) → (N, channels, *)``. In train mode it is the mean of the batch; in eval
    mode it is a running mean. So in eval mode the layer is a shift, and its constant is 1. In train
    mode a sample's output depends on the others, and no constant of single samples exists. With
    several processes, each one has the means of its own samples. Source: Boissin et al. 2025,
    arXiv:2501.07930, and the library of Serrurier et al. 2021.

    Parameters
    ----------
    channels
        The number of channels.
    momentum
        The share of a new batch in the running mean, in (0, 1].

    Raises
    ------
    ValueError
        If there is no channel or the momentum is outside of its range; in the forward pass, if the
        input has another number of channels.

    Examples
    --------
    >>> BatchCentering(2)(torch.tensor([[1.0, 5.0], [3.0, 5.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """

    running_mean: Tensor

    def __init__(self, channels: int, *, momentum: float = 0.1) -> None:
        super().__init__()
        require_count(channels, "channels")
        require_number(momentum, "momentum", above=0.0, maximum=1.0)
        self.momentum = momentum
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return the centered tensor."""
        require(
            x.dim() > 1 and x.shape[1] == len(self.bias),
            "x",
            expected=f"{len(self.bias)} channels in dimension 1",
            got=tuple(x.shape),
        )
        mean = self.running_mean
        if self.training:
            mean = x.to(self.bias.dtype).transpose(0, 1).flatten(1).mean(1)
            with torch.no_grad():
                self.running_mean.lerp_(mean.detach(), self.momentum)
        shift = (self.bias - mean).reshape(1, -1, *[1] * (x.dim() - 2))
        return x + shift.to(x.dtype)

    def extra_repr(self) -> str:
        """Return the options for ``repr``."""
        return f"{len(self.bias)}, momentum={self.momentum}"
