"""Constraints made of a network and its optimizers: all is checked before a weight is touched."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer

from sngan.spectral.assembly import called_layers, make_groups, make_norms
from sngan.spectral.constraint import Constraint
from sngan.spectral.kernels import Kernel, require_normalizable
from sngan.spectral.optimizers import base_optimizers
from sngan.spectral.ownership import claim, require_free
from sngan.spectral.shapes import Calls, input_shapes
from sngan.spectral.stepping import follow
from sngan.spectral.targets import Bound, Coefficients, coefficients_of, require_learnable
from sngan.utils.checks import require_count


@dataclass(frozen=True)
class Options:
    """The options of SpectralNorm, aside from the choice of layers."""

    coefficient: Coefficients
    iterations: int
    input_shape: tuple[int, ...] | None = None
    strict: bool = False
    bound: Bound = "exact"


def constrain(
    module: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer],
    kernels: list[Kernel],
    options: Options,
) -> tuple[Constraint, Calls | None]:
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
    coefficients = coefficients_of(options.coefficient, kernels, bound=options.bound)
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
    constraint = Constraint(module, groups, options.iterations)
    claim(constraint, layers)
    for one in optimizers:
        for group in groups:
            group.target.hand_over(group.norms, one)
        follow(constraint, one)
    return constraint, shapes
