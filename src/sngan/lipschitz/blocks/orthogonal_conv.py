"""Orthogonal convolutions with overlap, stride and groups, as explicit kernels (AOC)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sngan.lipschitz.blocks.plain_conv import PaddingMode, plain_conv2d
from sngan.lipschitz.blocks.qr import orthonormal
from sngan.utils.checks import require


def orthogonal_conv2d(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: int | None = None,
    padding_mode: PaddingMode = "zeros",
    groups: int = 1,
    bias: bool = True,
) -> nn.Conv2d:
    """Return a convolution that is orthogonal as a map: torch's layer with a computed kernel.

    ``(N, in_channels, H, W) → (N, out_channels, H', W')``. The kernel of size k and stride s is the
    convolution of three kernels that are orthogonal by themselves: a 1×1 kernel, ``k − s`` steps of
    sizes 1×2 and 2×1 that project the channels to two complementary parts and shift one of them,
    and an orthogonal kernel of size and stride s. With circular padding, and a stride that divides
    the size, all singular values are 1. Zero padding cuts the map off at the image's edges: the
    norm is still 1, but some singular values are smaller. Source: Boissin et al. 2025,
    arXiv:2501.07930 (AOC); Li et al. 2019, arXiv:1911.00937 (the steps, BCOP).

    Parameters
    ----------
    in_channels, out_channels
        The channels before and after.
    kernel_size
        The side of the kernel, at least the stride.
    stride
        The stride.
    padding
        The pixels that each side gets; left out: ``(kernel_size − stride + 1) // 2``, so that the
        size is divided by the stride.
    padding_mode
        ``"zeros"`` or ``"circular"``. The other modes of torch copy pixels and raise the norm.
    groups
        The number of groups of channels, which do not mix.
    bias
        Whether the layer has a bias.

    Raises
    ------
    ValueError
        If a count is below 1, the kernel is smaller than the stride, the groups do not divide the
        channels, or the padding mode is another one.

    Examples
    --------
    >>> layer = orthogonal_conv2d(4, 16, 4, stride=2, padding_mode="circular", bias=False)
    >>> x = torch.randn(1, 4, 8, 8)
    >>> torch.allclose(layer(x).norm(), x.norm(), rtol=1e-5)
    True
    """
    layer = plain_conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=padding,
        padding_mode=padding_mode,
        groups=groups,
        bias=bias,
    )
    expected = f"at least the stride, {stride}"
    require(kernel_size >= stride, "kernel_size", expected=expected, got=kernel_size)
    kernel = _OrthogonalKernel(
        in_channels // groups, out_channels // groups, steps=kernel_size - stride, groups=groups,
        stride=stride,
    )  # fmt: skip
    last = torch.randn(groups, out_channels // groups, kernel.channels * stride**2)
    layer.weight = nn.Parameter(last)
    # the free parameter has another shape than the kernel
    parametrize.register_parametrization(layer, "weight", kernel, unsafe=True)
    return layer


class _OrthogonalKernel(nn.Module):
    """Parametrization of a kernel by the matrix of its last, strided part, and by two of its own.

    ``lift`` holds the first 1×1 kernel, and ``projections`` the spans of the projected channels.
    An isometry needs the inner channels between input and output; otherwise the first kernel is
    square, and the last part reduces.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, steps: int, groups: int, stride: int
    ) -> None:
        super().__init__()
        self.stride, self.steps = stride, steps
        self.channels = max(in_channels, out_channels // stride**2)
        self.lift = nn.Parameter(torch.randn(groups, self.channels, in_channels))
        projected = (self.channels + 1) // 2
        self.projections = nn.Parameter(torch.randn(2 * steps, groups, projected, self.channels))

    def forward(self, last: Tensor) -> Tensor:
        with torch.autocast(last.device.type, enabled=False):
            kernel = orthonormal(self.lift)[..., None, None]
            for step in self._steps():
                kernel = _composed(kernel, step)
            strided = orthonormal(last).unflatten(-1, (-1, self.stride, self.stride))
            return _composed(kernel, strided).flatten(0, 1)

    def _steps(self) -> list[Tensor]:
        """Return the kernels ``[P, I − P]``, one along each axis for each step."""
        if not self.steps:
            return []
        spans = orthonormal(self.projections)
        projections = spans.mT @ spans
        eye = torch.eye(self.channels, dtype=projections.dtype, device=projections.device)
        pairs = torch.stack([projections, eye - projections], dim=-1)
        return [
            pair[..., :, None] if place % 2 else pair[..., None, :]
            for place, pair in enumerate(pairs)
        ]


def _composed(first: Tensor, second: Tensor) -> Tensor:
    """Return the kernel of two convolutions in a row; kernels are ``(groups, out, in, h, w)``."""
    groups, inner, inputs = first.shape[:3]
    reach = (second.shape[-2] - 1, second.shape[-1] - 1)
    # the second kernel slides over the first one, of which each input channel is one image
    images = first.permute(2, 0, 1, 3, 4).reshape(inputs, groups * inner, *first.shape[3:])
    found = F.conv2d(images, second.flip(-2, -1).flatten(0, 1), padding=reach, groups=groups)
    return found.reshape(inputs, groups, -1, *found.shape[2:]).permute(1, 2, 0, 3, 4)
