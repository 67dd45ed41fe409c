"""Coordinates of points: the data's own, and standard ones with mean 0 and standard deviation 1."""

import torch
from torch import Tensor, nn

_ROUNDING = 2.0**-23


class Coordinates(nn.Module):
    """Converts points ``(N, dim)`` between the data's coordinates and standard ones.

    The networks compute in standard coordinates, so that one recipe fits data of every unit. Their
    inputs and outputs are in the data's coordinates. Both buffers are part of the weights.

    Examples
    --------
    >>> from sngan.models import Coordinates
    >>> coordinates = Coordinates(1)
    >>> coordinates.fit(torch.tensor([[3.0], [7.0]]))
    >>> coordinates.standard(torch.tensor([[7.0]])), coordinates.original(torch.tensor([[-1.0]]))
    (tensor([[1.]]), tensor([[3.]]))
    """

    center: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    def fit(self, points: Tensor) -> None:
        """Take mean and standard deviation from points; a constant coordinate is only shifted.

        In coordinates of packs, each place of a pack gets the values of one point.
        """
        values = points.to("cpu", torch.float64)
        scale = values.std(0, correction=0)
        varies = scale > _ROUNDING * values.abs().amax(0)
        usual = scale[varies].max() if bool(varies.any()) else torch.ones(())
        places = len(self.center) // points.shape[1]
        self.center.copy_(values.mean(0).repeat(places))
        self.scale.copy_(torch.where(varies, scale, usual).repeat(places))

    def standard(self, points: Tensor) -> Tensor:
        """Convert points from the data's coordinates: ``(points − center)/scale``."""
        return (points - self.center) / self.scale

    def original(self, points: Tensor) -> Tensor:
        """Convert standard points to the data's coordinates: ``center + scale·points``."""
        return torch.addcmul(self.center, self.scale, points)
