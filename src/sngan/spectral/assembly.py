"""The norms of a network's kernels, in groups that take their steps together."""

import torch
from torch import nn

from sngan.distributed import dtensor
from sngan.spectral.full_precision import full_precision
from sngan.spectral.geometry import Geometry, at_all_sizes, geometry_of
from sngan.spectral.gram import GramBound
from sngan.spectral.group import Group
from sngan.spectral.iteration import MatrixNorm, Norm
from sngan.spectral.kernels import CONVOLUTIONS, TRANSPOSED, Kernel
from sngan.spectral.shapes import Calls
from sngan.spectral.sharded import ShardedGroup, on_shards
from sngan.spectral.targets import LEARNABLE, Bound, Coefficient, make_target
from sngan.spectral.torus import TorusNorm
from sngan.utils.checks import require


def called_layers(module: nn.Module, kernels: list[Kernel]) -> list[str]:
    """The names of the layers with these kernels, but those that attention reads and never calls.

    That is its ``out_proj``.
    """
    names = [name for kernel in kernels for name in kernel.layers]
    parents = {name: module.get_submodule(name.rpartition(".")[0]) for name in names if name}
    return [n for n in names if not isinstance(parents.get(n), nn.MultiheadAttention)]


def make_norms(
    module: nn.Module,
    kernels: list[Kernel],
    shapes: Calls | None,
    *,
    strict: bool,
) -> list[Norm]:
    """The norm of each kernel: as a map where input shapes are given, else as a matrix."""
    norms: list[Norm] = []
    for kernel in kernels:
        geometry = None if shapes is None else _geometry(module, kernel, shapes)
        if strict:
            norms.append(GramBound(kernel, geometry))
        elif geometry is None:
            norms.append(MatrixNorm(kernel))
        else:
            norms.append(TorusNorm(kernel, geometry))
    return [on_shards(norm) for norm in norms]


def _geometry(module: nn.Module, kernel: Kernel, shapes: Calls) -> Geometry | None:
    """The convolution that a weight belongs to; None for a matrix."""
    layers = [module.get_submodule(name) for name in kernel.layers]
    if not isinstance(layers[0], (*CONVOLUTIONS, *TRANSPOSED)):
        return None
    geometries = {
        at_all_sizes(
            [geometry_of(layer, call.input_shape, output_size=call.output_size) for call in calls]
        )
        for layer, calls in zip(layers, (shapes[name] for name in kernel.layers), strict=True)
    }
    require(
        len(geometries) == 1,
        "module",
        expected="tied convolutions of one stride, padding and input size, for 'operator'",
        got=f"{' and '.join(kernel.names)}, which differ",
    )
    return geometries.pop()


def make_groups(norms: list[Norm], coefficients: list[Coefficient], *, bound: Bound) -> list[Group]:
    """Normalize the weights, in one group for each device, dtype and way of sharding.

    Learned coefficients are in groups of their own.
    """
    kinds: dict[tuple[object, ...], list[tuple[Norm, Coefficient]]] = {}
    for norm, coefficient in zip(norms, coefficients, strict=True):
        part, weight = norm.weight(), norm.kernel.weight
        layout = (weight.device_mesh, weight.placements) if dtensor.is_sharded(weight) else ()
        key = (part.device, part.dtype, coefficient == LEARNABLE, *layout)
        kinds.setdefault(key, []).append((norm, coefficient))
    groups: list[Group] = []
    for alike in kinds.values():
        own = [norm for norm, _ in alike]
        weight = own[0].weight()
        kind = ShardedGroup if dtensor.is_sharded(own[0].kernel.weight) else Group
        target = make_target([c for _, c in alike], bound=bound, like=weight)
        with torch.no_grad(), full_precision(weight.device):
            groups.append(kind(own, target))
    return groups
