"""Constraints made of a network and its optimizers: all is checked before a weight is touched."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer

from sngan.spectral.coefficients import (
    Bound,
    CoefficientSpec,
    coefficient_of_each,
    require_learnable,
)
from sngan.spectral.grouping import called_layers, make_groups, make_norms
from sngan.spectral.kernels import Kernel, require_normalizable
from sngan.spectral.normalizer import Normalizer
from sngan.spectral.operator.input_shapes import LayerCalls, input_shapes
from sngan.spectral.optimizer_hooks import follow
from sngan.spectral.optimizers import base_optimizers
from sngan.spectral.ownership import claim, require_free
from sngan.utils.checks import require_count


@dataclass(frozen=True)
class Options:
    """The options of SpectralNorm, aside from the choice of layers."""

    coefficient: CoefficientSpec
    iterations: int
    input_shape: tuple[int, ...] | None = None
    strict: bool = False
    bound: Bound = "exact"


def set_up(
    module: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer],
    kernels: list[Kernel],
    options: Options,
) -> tuple[Normalizer, LayerCalls | None]:
    """Normalize the kernels, and follow the steps of their optimizers.

    Returns
    -------
    tuple
        The constraint, and the input shapes of the layers where these are norms of maps.

    Raises
    ------
    ValueError
        If an option, an optimizer or a weight is none that can be followed.
    """
    require_count(options.iterations, "iterations")
    coefficients = coefficient_of_each(options.coefficient, kernels, bound=options.bound)
    optimizers = base_optimizers(optimizer)
    require_free(kernels, optimizers)
    require_normalizable(module, kernels)
    require_learnable(kernels, coefficients, optimizers)
    shapes = None
    if options.input_shape is not None:
        shapes = input_shapes(module, options.input_shape, called_layers(module, kernels))
    norms = make_norms(module, kernels, shapes, strict=options.strict)
    groups = make_groups(norms, coefficients, bound=options.bound)
    layers = [module.get_submodule(name) for kernel in kernels for name in kernel.layers]
    normalizer = Normalizer(module, groups, options.iterations)
    claim(normalizer, layers)
    for one in optimizers:
        for group in groups:
            group.coefficients.add_to_optimizer(group.norms, one)
        follow(normalizer, one)
    return normalizer, shapes
