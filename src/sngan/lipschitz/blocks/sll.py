"""SDP-based Lipschitz layers (SLL): residual layers that are 1-Lipschitz for every weight."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sngan.utils.checks import require, require_count


class SLLLinear(nn.Module):
    r"""Residual layer :math:`y = x - 2 W T^{-1}\operatorname{relu}(W^\top x + b)`, 1-Lipschitz.

    ``(*, features) → (*, features)``. T is diagonal with
    :math:`T_{ii} = \sum_j |W^\top W|_{ij} q_j/q_i` for learned :math:`q_i > 0`. Then
    :math:`W^\top W \preceq T`, so the layer is 1-Lipschitz for every W, b and q. The constant 1 is
    proved, and a ReLU that no input switches on attains it. Source: Araujo et al. 2023,
    arXiv:2303.03169, theorem 3.

    Parameters
    ----------
    features
        The size of a sample.
    hidden_features
        The number of columns of W; left out: ``features``.

    Raises
    ------
    ValueError
        If a size is below 1.

    Examples
    --------
    >>> layer, x, y = SLLLinear(4), torch.ones(4), -torch.ones(4)
    >>> bool((layer(x) - layer(y)).norm() <= (x - y).norm() * (1 + 1e-6))
    True
    """

    def __init__(self, features: int, hidden_features: int | None = None) -> None:
        super().__init__()
        require_count(features, "features")
        hidden = features if hidden_features is None else hidden_features
        require_count(hidden, "hidden_features")
        self.weight = nn.Parameter(torch.empty(hidden, features))
        nn.init.xavier_normal_(self.weight)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.log_q = nn.Parameter(torch.zeros(hidden))

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of the layer."""
        with torch.autocast(x.device.type, enabled=False):
            gram = (self.weight @ self.weight.t()).abs()
            scale = 2 / _positive((gram @ self.log_q.exp()) * (-self.log_q).exp())
        active = F.relu(F.linear(x, self.weight, self.bias))
        return x - F.linear(scale * active, self.weight.t())

    def extra_repr(self) -> str:
        """Return the sizes for ``repr``."""
        hidden, features = self.weight.shape
        return f"{features}, hidden_features={hidden}"


class SLLConv2d(nn.Module):
    """Residual convolution ``y = x − 2 W T⁻¹ relu(Wᵀx + b)`` of stride 1, 1-Lipschitz.

    ``(N, channels, H, W) → (N, channels, H, W)``. Wᵀ is a convolution with zero padding, and W is
    its transpose. T is that of :class:`SLLLinear`, with the sums of the absolute values of the
    kernel's autocorrelation in place of the Gram matrix; these also bound the Gram matrix at the
    image's edges, because the map on the image is a part of the map on the whole plane. Source:
    Araujo et al. 2023, arXiv:2303.03169.

    Parameters
    ----------
    channels
        The channels of the images.
    kernel_size
        The size of the kernel, which is odd.
    hidden_channels
        The output channels of the inner convolution; left out: ``channels``.

    Raises
    ------
    ValueError
        If a count is below 1, or the kernel size is even.

    Examples
    --------
    >>> SLLConv2d(3, 3, 8)(torch.zeros(1, 3, 6, 5)).shape
    torch.Size([1, 3, 6, 5])
    """

    def __init__(self, channels: int, kernel_size: int, hidden_channels: int | None = None) -> None:
        super().__init__()
        require_count(channels, "channels")
        require_count(kernel_size, "kernel_size")
        require(kernel_size % 2 == 1, "kernel_size", expected="an odd number", got=kernel_size)
        hidden = channels if hidden_channels is None else hidden_channels
        require_count(hidden, "hidden_channels")
        self.weight = nn.Parameter(torch.empty(hidden, channels, kernel_size, kernel_size))
        nn.init.xavier_normal_(self.weight)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.log_q = nn.Parameter(torch.zeros(hidden))

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of the layer."""
        padding = self.weight.shape[-1] // 2
        with torch.autocast(x.device.type, enabled=False):
            reach = self.weight.shape[-1] - 1
            gram = F.conv2d(self.weight, self.weight, padding=reach).abs().sum((2, 3))
            scale = 2 / _positive((gram @ self.log_q.exp()) * (-self.log_q).exp())
        active = F.relu(F.conv2d(x, self.weight, self.bias, padding=padding))
        return x - F.conv_transpose2d(scale[:, None, None] * active, self.weight, padding=padding)

    def extra_repr(self) -> str:
        """Return the sizes for ``repr``."""
        hidden, channels, size = self.weight.shape[:3]
        return f"{channels}, kernel_size={size}, hidden_channels={hidden}"


def _positive(sums: Tensor) -> Tensor:
    """Return the sums; one that is 0 belongs to a column of W that is 0, so any number will do."""
    return sums.clamp(min=torch.finfo(sums.dtype).tiny)
