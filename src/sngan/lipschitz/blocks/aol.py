"""Almost orthogonal layers (AOL): weights rescaled by row sums of a Gram matrix."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sngan.lipschitz.blocks.plain_conv import PaddingMode, plain_conv2d
from sngan.utils.checks import require_count


def aol_linear(in_features: int, out_features: int, *, bias: bool = True) -> nn.Linear:
    r"""Return a linear layer of norm at most 1, with the weight ``P·diag(d)`` or ``diag(d)·P``.

    P is a free parameter, and :math:`d_j = (\sum_k |P^\top P|_{jk})^{-1/2}`. Then
    :math:`\operatorname{diag}(d)\,P^\top P\operatorname{diag}(d) \preceq I`. The norm is 1 if the
    columns of P that are not zero are orthogonal; training with it tends to make them so. A P with
    more columns than rows has no orthogonal columns, so its rows are rescaled, by
    :math:`P P^\top`; the time is ``max(in, out)·min(in, out)²``. Source: Prach, Lampert 2022,
    arXiv:2208.03160, theorem 1; for the rows, the theorem of the transposed matrix.

    Parameters
    ----------
    in_features, out_features
        The sizes of a sample before and after.
    bias
        Whether the layer has a bias.

    Raises
    ------
    ValueError
        If a size is below 1.

    Examples
    --------
    >>> bool(torch.linalg.matrix_norm(aol_linear(6, 4).weight, 2) <= 1 + 1e-6)
    True
    """
    require_count(in_features, "in_features")
    require_count(out_features, "out_features")
    linear = nn.Linear(in_features, out_features, bias=bias)
    nn.init.orthogonal_(linear.weight)
    rescaled = _RescaledRows() if out_features < in_features else _RescaledColumns()
    parametrize.register_parametrization(linear, "weight", rescaled)
    return linear


def aol_conv2d(
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
    r"""Return a convolution of norm at most 1, whose input or output channels are rescaled.

    With the kernel P and its autocorrelation :math:`R_{jk}(t) = \sum_{o,s} P_{ojs} P_{ok,s+t}`,
    channel j gets the factor :math:`d_j = (\sum_{k,t} |R_{jk}(t)|)^{-1/2}`. With a stride, the sums
    are taken for each position inside the stride, and the largest one counts. If the layer has
    fewer values at the output than at the input, the output channels are rescaled in the same way,
    by the correlations of their kernels at all multiples of the stride. Source: Prach, Lampert
    2022, arXiv:2208.03160, theorem 2; the stride and the outputs are new in this library.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, padding_mode, groups, bias
        As for :func:`orthogonal_conv2d`, but the kernel may be smaller than the stride.

    Raises
    ------
    ValueError
        If a count is below 1, the groups do not divide the channels, or the padding mode is
        another one than ``"zeros"`` and ``"circular"``.

    Examples
    --------
    >>> aol_conv2d(3, 8, 4, stride=2)(torch.zeros(1, 3, 8, 8)).shape
    torch.Size([1, 8, 4, 4])
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
    # orthogonal at the kernel's center
    nn.init.dirac_(layer.weight, groups=groups)
    with torch.no_grad():
        layer.weight.add_(0.1 * torch.randn_like(layer.weight) / layer.weight[0].numel() ** 0.5)
    is_reduction = out_channels < in_channels * stride**2
    rescaled = _RescaledOutputs if is_reduction else _RescaledChannels
    parametrize.register_parametrization(layer, "weight", rescaled(stride=stride, groups=groups))
    return layer


class _RescaledColumns(nn.Module):
    """Parametrization ``P ↦ P·diag(d)``, in float32 or better."""

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            return weight * inverse_root((weight.t() @ weight).abs().sum(1))

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight


class _RescaledRows(_RescaledColumns):
    """Parametrization ``P ↦ diag(d)·P``, in float32 or better."""

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            return weight * inverse_root((weight @ weight.t()).abs().sum(1))[:, None]


class _RescaledChannels(nn.Module):
    """Parametrization that rescales each input channel of a kernel, in float32 or better."""

    def __init__(self, *, stride: int, groups: int) -> None:
        super().__init__()
        self.stride, self.groups = stride, groups

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            own = weight.unflatten(0, (self.groups, -1))
            phases = _phases(own, self.stride)
            sums = torch.stack([correlation_sums(part.transpose(0, 1)) for part in phases])
            largest = sums.unflatten(1, (own.shape[2], -1)).amax(2)
            return (own * inverse_root(largest)[:, None, :, None, None]).flatten(0, 1)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight


class _RescaledOutputs(_RescaledChannels):
    """Parametrization that rescales each output channel of a kernel, in float32 or better."""

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            own = weight.unflatten(0, (self.groups, -1))
            sums = torch.cat([correlation_sums(part, self.stride) for part in own])
            return weight * inverse_root(sums)[:, None, None, None]


def correlation_sums(kernel: Tensor, stride: int = 1) -> Tensor:
    """Return ``Σ_{k,t} |R_jk(t)|`` of the first axis j of a kernel ``(J, channels, h, w)``.

    The shifts t are all multiples of the stride.
    """
    # the shift 0 stays among them
    reach = [(size - 1) // stride * stride for size in kernel.shape[2:]]
    return F.conv2d(kernel, kernel, stride=stride, padding=reach).abs().sum((1, 2, 3))


def inverse_root(sums: Tensor) -> Tensor:
    """Return ``1/√sums``, and a number without effect where a sum is 0 because its weights are."""
    return sums.clamp(min=torch.finfo(sums.dtype).tiny).rsqrt()


def _phases(kernel: Tensor, stride: int) -> Tensor:
    """Return the kernel on ``C·stride²`` channels that has stride 1 after a pixel unshuffle."""
    missing = -kernel.shape[-1] % stride
    return F.pixel_unshuffle(F.pad(kernel, (0, missing, 0, missing)), stride)
