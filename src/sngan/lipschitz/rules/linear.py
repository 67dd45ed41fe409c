"""Linear layers, plain and fused: their constants are certified operator norms."""

import math

from torch import Tensor, nn

from sngan.lipschitz.constants import LipschitzConstant, unbounded
from sngan.lipschitz.rounding import multiply_up, sum_up
from sngan.models.fused import PooledConv2d, UpsampledConv2d, pooled_kernel, upsampled_kernel
from sngan.spectral import certified_norm

Shape = tuple[int, ...]

# the elements of a fused kernel are sums of at most four numbers, so they take three roundings; one
# more covers the rounding of ``sizes.sum()``
_ROUNDING = 4 * 2.0**-53


def linear_constant(layer: nn.Module, input_shape: Shape) -> LipschitzConstant:
    """Return the norm of a linear layer on samples of ``input_shape``."""
    weight = getattr(layer, "weight", None)
    if isinstance(weight, Tensor) and weight.numel() == 0:
        return LipschitzConstant(0.0, "closed_form", affine=True)
    if isinstance(layer, nn.Linear):
        # it acts on the last dimension, and a block diagonal of copies has the norm of one copy
        input_shape = (layer.in_features,)
    try:
        norm, method = certified_norm(layer, input_shape)[:2]
    except ValueError as error:
        return unbounded(str(error))
    return LipschitzConstant(norm, method, affine=True)


def pooled_convolution(layer: PooledConv2d, input_shape: Shape) -> LipschitzConstant:
    """Bound a convolution and average pooling, as one layer or by the product of both norms."""
    channels = layer.in_channels, layer.out_channels
    fused = nn.utils.skip_init(nn.Conv2d, *channels, 4, stride=2, padding=1, bias=False)
    weight = layer.weight.detach()
    return _smaller_bound(
        _with_kernel(fused, pooled_kernel(weight), pooled_kernel(weight.abs()), input_shape),
        linear_constant(layer, input_shape),
        linear_constant(nn.AvgPool2d(2), (layer.out_channels, *input_shape[1:])),
    )


def upsampled_convolution(layer: UpsampledConv2d, input_shape: Shape) -> LipschitzConstant:
    """Bound upsampling and a convolution, as one layer or by the product of both norms."""
    fused = nn.utils.skip_init(
        nn.ConvTranspose2d,
        layer.in_channels,
        layer.out_channels,
        4,
        stride=2,
        padding=1,
        bias=False,
    )
    weight = layer.weight.detach()
    doubled = (layer.in_channels, *(2 * size for size in input_shape[1:]))
    return _smaller_bound(
        _with_kernel(fused, upsampled_kernel(weight), upsampled_kernel(weight.abs()), input_shape),
        linear_constant(nn.Upsample(scale_factor=2), input_shape),
        linear_constant(layer, doubled),
    )


def _with_kernel(
    layer: nn.Module, kernel: Tensor, sizes: Tensor, input_shape: Shape
) -> LipschitzConstant:
    """Bound a convolution with this kernel, which was computed with rounding.

    Each element is a sum of numbers, and ``sizes`` has the sum of their absolute values. Rounding
    changes the element by at most ``_ROUNDING`` times this sum, or by the smallest float. The norm
    of a convolution is at most the sum of the absolute values of its kernel's elements.
    """
    layer.weight = nn.Parameter(kernel)
    found = linear_constant(layer, input_shape)
    relative = multiply_up(_ROUNDING, sizes.sum().item())
    sigma = sum_up((found.sigma, relative, sizes.numel() * math.ulp(0.0)))
    return LipschitzConstant(sigma, found.method, affine=True, reason=found.reason)


def _smaller_bound(
    fused: LipschitzConstant, first: LipschitzConstant, second: LipschitzConstant
) -> LipschitzConstant:
    """Return the constant of a fused layer, or the product of its parts' constants if smaller."""
    product = multiply_up(first.sigma, second.sigma)
    if fused.sigma <= product:
        return fused
    reason = first.reason or second.reason
    return LipschitzConstant(product, "upper_bound", affine=True, reason=reason)
