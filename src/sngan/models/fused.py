"""Fused layers: a 3×3 convolution and a change of resolution as one operation.

A 3×3 convolution followed by 2×2 average pooling equals one 4×4 convolution of stride 2. Upsampling
by repetition followed by a 3×3 convolution equals one transposed 4×4 convolution of stride 2. Both
take 4/9 of the multiplications. The parameters are those of the 3×3 convolution: a fused layer has
the ``state_dict`` of ``nn.Conv2d``, and spectral normalization treats it as one.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class PooledConv2d(nn.Conv2d):
    """A 3×3 convolution with padding 1, then 2×2 average pooling.

    ``(N, in_channels, H, W) → (N, out_channels, H/2, W/2)``, for even H and W.

    Examples
    --------
    >>> import torch
    >>> PooledConv2d(3, 8)(torch.zeros(1, 3, 6, 8)).shape
    torch.Size([1, 8, 3, 4])
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve once with the kernel of both operations."""
        return F.conv2d(input, pooled_kernel(self.weight), self.bias, stride=2, padding=1)

    def unfused(self) -> tuple[nn.Conv2d, nn.AvgPool2d]:
        """Return a plain convolution with the same parameters, and the pooling."""
        # on the meta device nothing is drawn from the random number generator
        plain = nn.Conv2d(self.in_channels, self.out_channels, 3, padding=1, device="meta")
        plain.weight, plain.bias = self.weight, self.bias
        return plain, nn.AvgPool2d(2)


class UpsampledConv2d(nn.Conv2d):
    """Repetition of every pixel in a 2×2 square, then a 3×3 convolution with padding 1.

    ``(N, in_channels, H, W) → (N, out_channels, 2H, 2W)``.

    Examples
    --------
    >>> import torch
    >>> UpsampledConv2d(3, 8)(torch.zeros(1, 3, 3, 4)).shape
    torch.Size([1, 8, 6, 8])
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)

    def forward(self, input: Tensor) -> Tensor:
        """Apply the transposed convolution that equals both operations."""
        kernel = upsampled_kernel(self.weight)
        return F.conv_transpose2d(input, kernel, self.bias, stride=2, padding=1)


def pooled_kernel(kernel: Tensor) -> Tensor:
    """Return the kernel ``(O, I, 4, 4)`` of a convolution ``(O, I, 3, 3)`` with average pooling."""
    return _spread(kernel) / 4


def upsampled_kernel(kernel: Tensor) -> Tensor:
    """Return the transposed kernel ``(I, O, 4, 4)`` that equals upsampling and then ``kernel``."""
    return _spread(kernel.flip(2, 3)).transpose(0, 1)


def _spread(kernel: Tensor) -> Tensor:
    """Convolve kernels ``(O, I, 3, 3)`` fully with a 2×2 kernel of ones: ``(O, I, 4, 4)``."""
    columns = F.pad(kernel, (0, 1)) + F.pad(kernel, (1, 0))
    return F.pad(columns, (0, 0, 0, 1)) + F.pad(columns, (0, 0, 1, 0))
