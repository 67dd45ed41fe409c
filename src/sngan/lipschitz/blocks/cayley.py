"""Cayley transform: orthogonal matrices, and orthogonal circular convolutions in Fourier space."""

import math

import torch
from torch import Tensor, nn

from sngan.utils.checks import require, require_count


def cayley(matrix: Tensor) -> Tensor:
    r"""Return a matrix with orthonormal columns, or rows if it is wide, by a rational function.

    For a tall matrix of blocks U (square) and V, let :math:`A = U - U^* + V^*V`. The result has the
    blocks :math:`(I + A)^{-1}(I - A)` and :math:`-2V(I + A)^{-1}`. ``(*, rows, columns)``, real or
    complex. Source: Trockman, Kolter 2021, arXiv:2104.07167, appendix A.
    """
    rows, columns = matrix.shape[-2:]
    if columns > rows:
        return cayley(matrix.mH).mH
    upper, lower = matrix[..., :columns, :], matrix[..., columns:, :]
    a = upper - upper.mH + lower.mH @ lower
    eye = torch.eye(columns, dtype=matrix.dtype, device=matrix.device)
    inverse = torch.linalg.inv(eye + a)
    return torch.cat([inverse @ (eye - a), -2 * lower @ inverse], dim=-2)


class Cayley(nn.Module):
    """Parametrization by :func:`cayley`, in float64."""

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight of the layer."""
        return cayley(weight.double()).to(weight.dtype)


@torch.no_grad()
def init_cayley_(weight: Tensor) -> None:
    """Fill a parameter so that its transform is far from the identity: V has norm near 1."""
    small, large = sorted(weight.shape)
    nn.init.normal_(weight, std=1 / math.sqrt(max(large - small, small)))


class CayleyConv2d(nn.Module):
    r"""Orthogonal convolution with circular padding: one Cayley transform for each frequency.

    ``(N, in_channels, H, W) → (N, out_channels, H, W)``. The kernel's Fourier transform at each of
    the H·W frequencies is a complex matrix, and :func:`cayley` makes it orthogonal. So the map has
    only singular values 1. Its kernel is as large as the image. The time is that of an inverse of a
    matrix of ``min(in, out)`` rows for each frequency. To halve the size, put
    :class:`InvertibleDownsampling` before it. The arithmetic is float32 or better under autocast.
    Source: Trockman, Kolter 2021, arXiv:2104.07167.

    Parameters
    ----------
    in_channels, out_channels
        The channels before and after.
    kernel_size
        The size of the free kernel, which is odd; images must be at least as large.
    bias
        Whether the layer has a bias.

    Raises
    ------
    ValueError
        If a count is below 1, or the kernel size is even; in the forward pass, if the image is
        smaller than the kernel.

    Examples
    --------
    >>> layer, x = CayleyConv2d(3, 8, 3, bias=False), torch.randn(2, 3, 6, 6)
    >>> torch.allclose(layer(x).flatten(1).norm(dim=1), x.flatten(1).norm(dim=1), rtol=1e-4)
    True
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, bias: bool = True
    ) -> None:
        super().__init__()
        require_count(in_channels, "in_channels")
        require_count(out_channels, "out_channels")
        require_count(kernel_size, "kernel_size")
        require(kernel_size % 2 == 1, "kernel_size", expected="an odd number", got=kernel_size)
        self.kernel_size = kernel_size
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        nn.init.xavier_normal_(self.weight)
        self.gain = nn.Parameter(self.weight.detach().norm())
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the filtered images."""
        size = x.shape[-2:]
        require(
            x.dim() == 4 and min(size) >= self.kernel_size,
            "x",
            expected=f"images (N, C, H, W) of at least {self.kernel_size} pixels a side",
            got=tuple(x.shape),
        )
        with torch.autocast(x.device.type, enabled=False):
            kernel = self.gain * self.weight / torch.linalg.vector_norm(self.weight)
            center = self.kernel_size // 2
            # the kernel's center moves to frequency space without a phase
            padded = torch.nn.functional.pad(
                kernel, (0, size[1] - self.kernel_size, 0, size[0] - self.kernel_size)
            ).roll((-center, -center), (-2, -1))
            symbol = cayley(torch.fft.rfft2(padded).movedim((0, 1), (-2, -1)))
            wide = x.to(torch.promote_types(x.dtype, self.weight.dtype))
            spectrum = torch.fft.rfft2(wide).permute(2, 3, 1, 0)
            y = torch.fft.irfft2((symbol @ spectrum).permute(3, 2, 0, 1), s=size)
        y = y if self.bias is None else y + self.bias[:, None, None]
        return y.to(x.dtype)

    def extra_repr(self) -> str:
        """Return the sizes for ``repr``."""
        out_channels, in_channels = self.weight.shape[:2]
        return f"{in_channels}, {out_channels}, kernel_size={self.kernel_size}"
