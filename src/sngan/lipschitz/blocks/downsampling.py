"""Downsampling that keeps norms: pixels as channels, and orthogonal maps of separate patches."""

import torch.nn.functional as F
from torch import Tensor, nn

from sngan.lipschitz.blocks.linear import orthogonal_linear
from sngan.utils.checks import require_count


class InvertibleDownsampling(nn.Module):
    """``(N, C, H, W) → (N, C·factor², H/factor, W/factor)``: a rearrangement, so an isometry.

    Raises
    ------
    ValueError
        If ``factor`` is not a positive integer.

    Examples
    --------
    >>> import torch
    >>> InvertibleDownsampling(2)(torch.zeros(1, 3, 8, 8)).shape
    torch.Size([1, 12, 4, 4])
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        require_count(factor, "factor")
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Return the pixels of each ``factor × factor`` square as channels."""
        return F.pixel_unshuffle(x, self.factor)

    def extra_repr(self) -> str:
        """Return the factor for ``repr``."""
        return f"factor={self.factor}"


class _ChannelLinear(nn.Module):
    """A linear layer on the channels of ``(N, C, H, W)``: a 1×1 convolution."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.movedim(1, -1)).movedim(-1, 1)


def orthogonal_convolution(
    in_channels: int, out_channels: int, *, factor: int = 1, orthogonal_map: str = "qr"
) -> nn.Module:
    """Return a convolution with kernel size and stride ``factor`` that is orthogonal on each patch.

    ``(N, in_channels, H, W) → (N, out_channels, H/factor, W/factor)``: a rearrangement of pixels
    into channels, then an orthogonal 1×1 convolution. Its norm is 1. It is exactly orthogonal
    because the patches do not overlap; with overlapping patches, an orthogonal matrix as a kernel
    would not give an orthogonal map; :func:`orthogonal_conv2d` is the layer for these.

    Parameters
    ----------
    in_channels, out_channels
        The channels before and after.
    factor
        The kernel size and the stride.
    orthogonal_map
        See :func:`orthogonal_linear`.

    Raises
    ------
    ValueError
        If a count is below 1 or the map is unknown.

    Examples
    --------
    >>> import torch
    >>> orthogonal_convolution(3, 8, factor=2)(torch.zeros(1, 3, 8, 8)).shape
    torch.Size([1, 8, 4, 4])
    """
    require_count(in_channels, "in_channels")
    require_count(factor, "factor")
    linear = orthogonal_linear(in_channels * factor**2, out_channels, orthogonal_map=orthogonal_map)
    return nn.Sequential(InvertibleDownsampling(factor), _ChannelLinear(linear))
