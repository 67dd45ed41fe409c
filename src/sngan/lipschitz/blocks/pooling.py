"""Pooling by the Euclidean norm of windows."""

import torch.nn.functional as F
from torch import Tensor, nn

from sngan.utils.checks import require_count


class L2NormPool2d(nn.Module):
    r"""Euclidean norm of each window: :math:`y = \sqrt{\sum_i x_i^2}`.

    ``(N, C, H, W) → (N, C, H', W')``. The change of a norm is at most the norm of the change, so
    the constant is 1 for windows that do not overlap, and the root of the largest number of windows
    that share a pixel in general. Its gradient at a window of zeros is 0; that of
    ``nn.LPPool2d(2, …)`` is not a number. Source: Boureau, Ponce, LeCun 2010, ICML.

    Parameters
    ----------
    kernel_size
        The side of a window.
    stride
        The distance of windows; left out: ``kernel_size``.

    Raises
    ------
    ValueError
        If a size is below 1.

    Examples
    --------
    >>> import torch
    >>> L2NormPool2d(2)(torch.tensor([[[[3.0, 0.0], [0.0, -4.0]]]])).item()
    5.0
    """

    def __init__(self, kernel_size: int, *, stride: int | None = None) -> None:
        super().__init__()
        require_count(kernel_size, "kernel_size")
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        require_count(self.stride, "stride")

    def forward(self, x: Tensor) -> Tensor:
        """Return the norms of the windows."""
        squares = F.avg_pool2d(x.square(), self.kernel_size, self.stride, divisor_override=1)
        is_zero = squares == 0
        # the root has no derivative at 0, so these windows get a constant
        return squares.masked_fill(is_zero, 1).sqrt().masked_fill(is_zero, 0)

    def extra_repr(self) -> str:
        """Return the sizes for ``repr``."""
        return f"{self.kernel_size}, stride={self.stride}"
