"""Linear map of a layer: its forward without bias, and the adjoint, in float64."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sngan.spectral.operator.geometry import (
    Sizes,
    least_output_size,
    require_input_shape,
    usual_output_size,
)
from sngan.utils.checks import require
from sngan.utils.scaling import exponent_of, shifted
from sngan.utils.supported_layers import CONVOLUTIONS, TRANSPOSED
from sngan.utils.text import first_line

SUM_POOLING = (nn.LPPool1d, nn.LPPool2d, nn.LPPool3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
# these layers act on each channel by itself, and on each spatial dimension by one matrix
SEPARABLE: dict[type[nn.Module], int | None] = {
    nn.AvgPool1d: 1,
    nn.AvgPool2d: 2,
    nn.AvgPool3d: 3,
    nn.LPPool1d: 1,
    nn.LPPool2d: 2,
    nn.LPPool3d: 3,
    nn.AdaptiveAvgPool1d: 1,
    nn.AdaptiveAvgPool2d: 2,
    nn.AdaptiveAvgPool3d: 3,
    nn.Upsample: None,
    nn.UpsamplingNearest2d: 2,
    nn.UpsamplingBilinear2d: 2,
    nn.ZeroPad1d: 1,
    nn.ZeroPad2d: 2,
    nn.ZeroPad3d: 3,
    nn.ReflectionPad1d: 1,
    nn.ReflectionPad2d: 2,
    nn.ReflectionPad3d: 3,
    nn.ReplicationPad1d: 1,
    nn.ReplicationPad2d: 2,
    nn.ReplicationPad3d: 3,
    nn.CircularPad1d: 1,
    nn.CircularPad2d: 2,
    nn.CircularPad3d: 3,
}
_WEIGHTED = (nn.Linear, *CONVOLUTIONS, *TRANSPOSED)
LINEAR = (*_WEIGHTED, *BATCH_NORMS, *SEPARABLE)


@dataclass(frozen=True)
class LinearMap:
    """``forward`` maps ``(N, *input_shape)`` to ``(N, *output_shape)``, without the bias."""

    forward: Callable[[Tensor], Tensor]
    input_shape: Sizes
    output_shape: Sizes
    device: torch.device

    def adjoint(self, y: Tensor) -> Tensor:
        """``Tᵀy`` for ``y`` of shape ``(N, *output_shape)``."""
        zero = y.new_zeros(len(y), *self.input_shape)
        return torch.func.vjp(self.forward, zero)[1](y)[0]

    def size(self) -> tuple[int, int]:
        """The numbers of rows and columns of the matrix."""
        return math.prod(self.output_shape), math.prod(self.input_shape)

    def zeros(self) -> Tensor:
        """One input of zeros."""
        return torch.zeros(1, *self.input_shape, dtype=torch.float64, device=self.device)

    @torch.no_grad()
    def dense(self) -> Tensor:
        """The matrix of the map, ``(outputs, inputs)``."""
        rows, columns = self.size()
        matrix = torch.zeros(rows, columns, dtype=torch.float64, device=self.device)
        unit = torch.eye(columns, dtype=torch.float64, device=self.device)
        for block in torch.arange(columns, device=self.device).split(256):
            outputs = self.forward(unit[block].view(-1, *self.input_shape))
            matrix[:, block] = outputs.flatten(1).t()
        return matrix


def linear_map(
    layer: nn.Module,
    input_shape: Sizes,
    *,
    output_size: Sizes | None = None,
    exponent: int = 0,
) -> LinearMap:
    """The linear map of a layer, divided by ``2^exponent``.

    Parameters
    ----------
    layer
        One of the layers in ``LINEAR``.
    input_shape
        The shape of one input, without batch dimension.
    output_size
        The output size that a transposed convolution is called with, if any.
    exponent
        The weight is divided by this power of two.

    Raises
    ------
    ValueError
        If the layer has no linear form (such as batch norm in training mode), :func:`weight_of`
        does not take its weight, or a shape does not fit.
    """
    require(
        isinstance(layer, LINEAR),
        "layer",
        expected="Linear, a convolution, average or sum pooling, up-sampling, padding, batch norm",
        got=f"{type(layer).__name__}, which has no linear form here",
    )
    if isinstance(layer, SUM_POOLING):
        p = layer.norm_type
        require(p == 1, "layer", expected="sum pooling, norm_type 1", got=f"norm_type {p}")
    _require_fit(layer, input_shape)
    forward = _forward(layer, _output_padding(layer, input_shape, output_size), exponent)
    parameter = next(layer.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    zero = torch.zeros(1, *input_shape, dtype=torch.float64, device=device)
    try:
        with torch.no_grad():
            output_shape = tuple(forward(zero).shape[1:])
    except (RuntimeError, ValueError, NotImplementedError) as error:
        raise ValueError(
            f"input_shape: expected one that fits {layer}, got {input_shape} ({first_line(error)})"
        ) from error
    return LinearMap(forward, input_shape, output_shape, device)


def weight_of(layer: nn.Module, *, exponent: int = 0) -> Tensor:
    """The weight divided by ``2^exponent``, in float64, with its graph.

    Raises
    ------
    ValueError
        If the weight is complex or integer, not finite, or on the meta device.
    """
    weight: Tensor = layer.weight  # pyright: ignore[reportAssignmentType]
    require(
        weight.is_floating_point(),
        "layer",
        expected="a real floating-point weight",
        got=f"{weight.dtype}",
    )
    expected = "finite weights"
    require(not weight.is_meta, "layer", expected=expected, got="a weight on the meta device")
    finite = bool(weight.isfinite().all())
    require(finite, "layer", expected=expected, got="a weight that is not finite")
    return shifted(weight.double(), -exponent)


def batch_norm_scale(layer: nn.Module, *, exponent: int = 0) -> Tensor:
    """``γ/√(var + ε)`` of each channel of a batch norm in eval mode, divided by ``2^exponent``.

    Raises
    ------
    ValueError
        If the layer is in training mode or has no running statistics, one of its numbers is not
        finite, or a variance is below 0.
    """
    assert isinstance(layer, BATCH_NORMS)
    variance = layer.running_var
    if layer.training or variance is None:
        raise ValueError(
            "layer: expected batch norm in eval mode with running statistics, got "
            f"{type(layer).__name__} that uses the statistics of the batch"
        )
    expected = "a finite running variance of at least 0"
    require(not variance.is_meta, "layer", expected=expected, got="one on the meta device")
    valid = bool((variance.isfinite() & (variance >= 0)).all())
    require(valid, "layer", expected=expected, got="one that is negative or not finite")
    scale = (variance.double() + layer.eps).rsqrt()
    if layer.affine:
        scale = scale * weight_of(layer)
    finite = bool(scale.isfinite().all())
    require(finite, "layer", expected="a finite scale γ/√(var + ε)", got="one that is not")
    return shifted(scale, -exponent)


def scale_exponent(layer: nn.Module) -> int:
    """The exponent e for which a layer's largest weight, divided by ``2^e``, is from ½ to 1."""
    if isinstance(layer, BATCH_NORMS):
        return exponent_of(batch_norm_scale(layer))
    return exponent_of(weight_of(layer)) if isinstance(layer, _WEIGHTED) else 0


def _output_padding(layer: nn.Module, input_shape: Sizes, output_size: Sizes | None) -> Sizes:
    """The output padding of a transposed convolution for this output size; empty for others."""
    if not isinstance(layer, TRANSPOSED):
        kind = type(layer).__name__
        none = output_size is None
        require(none, "output_size", expected=f"None for {kind}", got=output_size)
        return ()
    least = least_output_size(layer, input_shape)
    size = output_size or usual_output_size(layer, input_shape)
    fits = len(size) == len(least) and all(n >= low for n, low in zip(size, least, strict=True))
    require(fits, "output_size", expected=f"sizes of at least {least}", got=output_size)
    return tuple(n - low for n, low in zip(size, least, strict=True))


def _forward(layer: nn.Module, output_padding: Sizes, exponent: int) -> Callable[[Tensor], Tensor]:
    if isinstance(layer, BATCH_NORMS):
        scale = batch_norm_scale(layer, exponent=exponent).detach()
        return lambda x: x * scale.view(-1, *[1] * (x.dim() - 2))
    if isinstance(layer, SUM_POOLING):
        return _sum_pool(layer)
    if isinstance(layer, tuple(SEPARABLE)):
        return layer
    weight = weight_of(layer, exponent=exponent).detach()
    if isinstance(layer, nn.Linear):
        return lambda x: F.linear(x, weight)
    if isinstance(layer, CONVOLUTIONS):
        # only this private function of torch applies the padding modes
        convolve = layer._conv_forward  # pyright: ignore[reportPrivateUsage]
        return lambda x: convolve(x, weight, None)
    assert isinstance(layer, TRANSPOSED)
    transposed = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
    convolve = transposed[len(layer.kernel_size) - 1]
    return lambda x: convolve(
        x,
        weight,
        None,
        layer.stride,
        layer.padding,  # pyright: ignore[reportArgumentType]
        output_padding,
        layer.groups,
        layer.dilation,
    )


def _sum_pool(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """LPPool of norm type 1 as a sum; torch's own code has no derivative at 0."""
    assert isinstance(layer, SUM_POOLING)
    dim = _dim_of(layer)
    assert dim is not None
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[dim - 1]
    kernel: Any = layer.kernel_size
    count = kernel**dim if isinstance(kernel, int) else math.prod(kernel)
    return lambda x: count * pool(x, kernel, layer.stride, ceil_mode=layer.ceil_mode)


def _require_fit(layer: nn.Module, input_shape: Sizes) -> None:
    if isinstance(layer, (*CONVOLUTIONS, *TRANSPOSED)):
        require_input_shape(
            layer, input_shape, channels=layer.in_channels, dim=len(layer.kernel_size)
        )
    elif isinstance(layer, nn.Linear):
        fits = len(input_shape) > 0 and input_shape[-1] == layer.in_features
        expected = f"(..., {layer.in_features}) for Linear"
        require(fits, "input_shape", expected=expected, got=input_shape)
    elif isinstance(layer, BATCH_NORMS):
        fits = len(input_shape) > 0 and input_shape[0] == layer.num_features
        expected = f"({layer.num_features}, ...) for {type(layer).__name__}"
        require(fits, "input_shape", expected=expected, got=input_shape)
    else:
        dim = _dim_of(layer)
        fits = len(input_shape) > 1 and dim in (None, len(input_shape) - 1)
        expected = f"(channels, {'sizes' if dim is None else f'{dim} sizes'})"
        require(fits, "input_shape", expected=expected, got=input_shape)


def _dim_of(layer: nn.Module) -> int | None:
    """The number of spatial dimensions of a separable layer; ``None`` if it takes any number."""
    return SEPARABLE[next(kind for kind in SEPARABLE if isinstance(layer, kind))]
