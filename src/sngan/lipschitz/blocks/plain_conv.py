"""Plain convolution whose padding keeps norms: the base of the layers with computed kernels."""

from typing import Literal, get_args

from torch import nn

from sngan.utils.checks import require, require_count, require_one_of

PaddingMode = Literal["zeros", "circular"]


def plain_conv2d(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int,
    padding: int | None,
    padding_mode: PaddingMode,
    groups: int,
    bias: bool,
) -> nn.Conv2d:
    """Return torch's convolution of images; see :func:`orthogonal_conv2d` for the parameters.

    Other modes of padding copy pixels, so they would give a norm above 1.
    """
    counts = {
        "in_channels": in_channels, "out_channels": out_channels, "kernel_size": kernel_size,
        "stride": stride, "groups": groups,
    }  # fmt: skip
    for name, count in counts.items():
        require_count(count, name)
    for name in ("in_channels", "out_channels"):
        expected = f"a multiple of groups = {groups}"
        require(counts[name] % groups == 0, name, expected=expected, got=counts[name])
    require_one_of(padding_mode, "padding_mode", choices=get_args(PaddingMode))
    if padding is None:
        padding = max(kernel_size - stride + 1, 0) // 2
    require_count(padding, "padding", minimum=0)
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=padding,
        padding_mode=padding_mode,
        groups=groups,
        bias=bias,
    )
