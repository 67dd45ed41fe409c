"""Certification: proved norms of a network's layers, and weights rescaled by them."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from sngan.distributed import dtensor
from sngan.spectral.full_weight import full_matrix, full_weight
from sngan.spectral.operator.input_shapes import LayerCalls
from sngan.spectral.operator.norm import certified_norm
from sngan.spectral.tracked_norms.base import TrackedNorm
from sngan.spectral.weight_group import WeightGroup
from sngan.utils.kernels import Kernel
from sngan.utils.supported_layers import CONVOLUTIONS, TRANSPOSED

# a weight whose bound is this near to c is not rescaled
_TOLERANCE = 1e-5
# the relative error of eigenvalues in float64, rounded up
_EIGENVALUE_ERROR = 1e-13


def certify_groups(
    module: nn.Module, groups: list[WeightGroup], calls: LayerCalls
) -> dict[str, float]:
    """Rescale each weight so that its norm is proved to be at most c.

    The result is ``{layer name: proved bound}``.

    Parameters
    ----------
    module
        The network.
    groups
        The groups of its normalized weights.
    calls
        The calls of each layer, with the input sizes.
    """
    bounds: dict[str, float] = {}
    for group, index, norm in _indexed_norms(groups):
        bound = _certified_bound(module, norm.kernel, calls)
        coefficient = abs(float(group.coefficients.values[index]))
        lowest = 0.0 if group.coefficients.is_at_most else 1 - _TOLERANCE
        if bound > 0 and not lowest <= bound / coefficient <= 1:
            weight = norm.kernel.rows_of(dtensor.full_tensor(norm.kernel.weight))
            group.rescale(index, (bound + _rounding_bound(weight)) / coefficient)
            bound = _certified_bound(module, norm.kernel, calls)
        bounds.update((name, bound) for name in norm.kernel.names)
    return bounds


def _indexed_norms(groups: list[WeightGroup]) -> Iterator[tuple[WeightGroup, int, TrackedNorm]]:
    for group in groups:
        for index, norm in enumerate(group.norms):
            yield group, index, norm


def _certified_bound(module: nn.Module, kernel: Kernel, calls: LayerCalls) -> float:
    """The largest bound over all input sizes that a layer is called with."""
    name = kernel.layers[0]
    layer = module.get_submodule(name)
    if isinstance(layer, (*CONVOLUTIONS, *TRANSPOSED)):
        with full_weight(layer, kernel) as full:
            return max(
                certified_norm(full, call.input_shape, output_size=call.output_size).norm
                for call in calls[name]
            )
    linear = _as_linear(full_matrix(kernel))
    return certified_norm(linear, (linear.in_features,)).norm


def _as_linear(matrix: Tensor) -> nn.Linear:
    linear = nn.Linear(*reversed(matrix.shape), bias=False, device="meta")
    linear.weight = nn.Parameter(matrix)
    return linear


def _rounding_bound(weight: Tensor) -> float:
    """An upper bound of the change of a layer's norm when the entries of its weight are rounded.

    The change is at most ½ε·‖W‖_F for a matrix, and √taps times that for a convolution. The result
    is twice that, and at least the error of the eigenvalues in the next certificate.
    """
    taps = weight[0, 0].numel()
    spread = float(torch.linalg.vector_norm(weight)) * taps**0.5
    return max(torch.finfo(weight.dtype).eps, _EIGENVALUE_ERROR) * spread
