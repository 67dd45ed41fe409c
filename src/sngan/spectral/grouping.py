"""Grouping: a norm for each kernel, and one weight group for each device and dtype."""

import torch
from torch import nn

from sngan.distributed import dtensor
from sngan.spectral.coefficients import LEARNABLE, Bound, Coefficient, make_coefficients
from sngan.spectral.full_precision import full_precision
from sngan.spectral.operator.geometry import Geometry, at_all_sizes, geometry_of
from sngan.spectral.operator.input_shapes import LayerCalls
from sngan.spectral.sharded_group import ShardedWeightGroup
from sngan.spectral.tracked_norms.base import TrackedNorm
from sngan.spectral.tracked_norms.convolution import ConvolutionNorm
from sngan.spectral.tracked_norms.gathered import adapted_to_sharding
from sngan.spectral.tracked_norms.gram import GramNorm
from sngan.spectral.tracked_norms.matrix import MatrixNorm
from sngan.spectral.weight_group import WeightGroup
from sngan.utils.checks import require
from sngan.utils.kernels import Kernel
from sngan.utils.supported_layers import CONVOLUTIONS, TRANSPOSED


def make_norms(
    module: nn.Module,
    kernels: list[Kernel],
    calls: LayerCalls | None,
    *,
    strict: bool,
) -> list[TrackedNorm]:
    """The norm of each kernel: as a map if the calls of the layers are given, else as a matrix.

    Parameters
    ----------
    module
        The network.
    kernels
        Its kernels.
    calls
        The calls of the layers, for ``kind="operator"``.
    strict
        Whether the norms are proved upper bounds.
    """
    norms: list[TrackedNorm] = []
    for kernel in kernels:
        geometry = None if calls is None else _geometry(module, kernel, calls)
        if strict:
            norms.append(GramNorm(kernel, geometry))
        elif geometry is None:
            norms.append(MatrixNorm(kernel))
        else:
            norms.append(ConvolutionNorm(kernel, geometry))
    return [adapted_to_sharding(norm) for norm in norms]


def _geometry(module: nn.Module, kernel: Kernel, calls: LayerCalls) -> Geometry | None:
    """The geometry of the convolution that a weight belongs to; ``None`` for other layers."""
    layers = [module.get_submodule(name) for name in kernel.layers]
    if not isinstance(layers[0], (*CONVOLUTIONS, *TRANSPOSED)):
        return None
    geometries = {
        at_all_sizes(
            [
                geometry_of(layer, call.input_shape, output_size=call.output_size)
                for call in calls[name]
            ]
        )
        for layer, name in zip(layers, kernel.layers, strict=True)
    }
    require(
        len(geometries) == 1,
        "module",
        expected="tied convolutions of one stride, padding and input size, for 'operator'",
        got=f"{' and '.join(kernel.names)}, which differ",
    )
    return geometries.pop()


def make_groups(
    norms: list[TrackedNorm], coefficients: list[Coefficient], *, bound: Bound
) -> list[WeightGroup]:
    """Make one group of weights for each device, dtype and way of sharding, and normalize them.

    Weights with learnable coefficients have groups of their own.

    Parameters
    ----------
    norms
        The norm of each weight.
    coefficients
        The coefficient of each weight.
    bound
        ``"exact"`` or ``"at_most"``.
    """
    kinds: dict[tuple[object, ...], list[tuple[TrackedNorm, Coefficient]]] = {}
    for norm, coefficient in zip(norms, coefficients, strict=True):
        weight, local = norm.kernel.weight, norm.weight()
        layout = (weight.device_mesh, weight.placements) if dtensor.is_sharded(weight) else ()
        key = (local.device, local.dtype, coefficient == LEARNABLE, *layout)
        kinds.setdefault(key, []).append((norm, coefficient))
    groups: list[WeightGroup] = []
    for members in kinds.values():
        own = [norm for norm, _ in members]
        weight = own[0].weight()
        kind = ShardedWeightGroup if dtensor.is_sharded(own[0].kernel.weight) else WeightGroup
        values = make_coefficients([c for _, c in members], bound=bound, like=weight)
        with torch.no_grad(), full_precision(weight.device):
            groups.append(kind(own, values))
    return groups
