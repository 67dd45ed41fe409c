"""Proved norms of the layers of a network, and the weights rescaled by them."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from sngan.distributed import dtensor
from sngan.spectral.full_weight import full_weight
from sngan.spectral.kernels import Kernel
from sngan.spectral.operator.input_shapes import LayerCalls
from sngan.spectral.operator.norm import certified_norm
from sngan.spectral.supported_layers import CONVOLUTIONS, TRANSPOSED
from sngan.spectral.tracked_norms.base import TrackedNorm
from sngan.spectral.weight_group import WeightGroup

# a bound within this of c is accepted as it is
_ACCEPTED = 1e-5
# the relative precision of eigenvalues in float64, with room
_EIGENVALUES = 1e-13


def certify_groups(
    module: nn.Module, groups: list[WeightGroup], shapes: LayerCalls
) -> dict[str, float]:
    """Rescale each weight to a proved norm of c, or below; ``{layer name: proved bound}``."""
    bounds: dict[str, float] = {}
    for group, index, norm in _weights(groups):
        bound = _certified(module, norm.kernel, shapes)
        coefficient = abs(float(group.coefficients.values[index]))
        lowest = 0.0 if group.coefficients.is_at_most else 1 - _ACCEPTED
        if bound > 0 and not lowest <= bound / coefficient <= 1:
            weight = norm.kernel.rows_of(dtensor.full_tensor(norm.kernel.weight))
            group.rescale(index, (bound + _rounding(weight)) / coefficient)
            bound = _certified(module, norm.kernel, shapes)
        bounds.update((name, bound) for name in norm.kernel.names)
    return bounds


def _weights(groups: list[WeightGroup]) -> Iterator[tuple[WeightGroup, int, TrackedNorm]]:
    for group in groups:
        for index, norm in enumerate(group.norms):
            yield group, index, norm


def _certified(module: nn.Module, kernel: Kernel, shapes: LayerCalls) -> float:
    """The largest bound of all the sizes that a layer is called at."""
    name = kernel.layers[0]
    layer = module.get_submodule(name)
    if isinstance(layer, (*CONVOLUTIONS, *TRANSPOSED)):
        with full_weight(layer, kernel) as whole:
            return max(
                certified_norm(whole, call.input_shape, output_size=call.output_size).norm
                for call in shapes[name]
            )
    linear = _as_linear(kernel.matrix(kernel.rows_of(dtensor.full_tensor(kernel.weight))))
    return certified_norm(linear, (linear.in_features,)).norm


def _as_linear(matrix: Tensor) -> nn.Linear:
    linear = nn.Linear(*reversed(matrix.shape), bias=False, device="meta")
    linear.weight = nn.Parameter(matrix)
    return linear


def _rounding(weight: Tensor) -> float:
    """How far rounding its entries can move the norm of a layer.

    By half an ε of ``‖W‖_F`` as a matrix, and √taps times that as a convolution; twice this here.
    And what the eigenvalues in float64 of the next certificate may differ by.
    """
    taps = weight[0, 0].numel()
    spread = float(torch.linalg.vector_norm(weight)) * taps**0.5
    return max(torch.finfo(weight.dtype).eps, _EIGENVALUES) * spread
