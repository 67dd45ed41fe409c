"""Setup of SpectralNorm: it checks all arguments before it changes a weight."""

from dataclasses import dataclass

from torch import nn

from sngan.distributed import dtensor
from sngan.spectral.coefficients import (
    Bound,
    CoefficientSpec,
    coefficient_of_each,
    require_learnable,
)
from sngan.spectral.grouping import make_groups, make_norms
from sngan.spectral.normalizer import Normalizer
from sngan.spectral.operator.input_shapes import LayerCalls, input_shapes
from sngan.spectral.optimizer_hooks import follow
from sngan.spectral.optimizers import Optimizers, base_optimizers
from sngan.spectral.ownership import claim, require_free
from sngan.utils.checks import require, require_count, require_one_of
from sngan.utils.kernels import Kernel
from sngan.utils.supported_layers import EMBEDDINGS


@dataclass(frozen=True)
class Options:
    """The options of SpectralNorm, without the selection of layers."""

    coefficient: CoefficientSpec
    iterations: int
    input_shape: tuple[int, ...] | None = None
    strict: bool = False
    bound: Bound = "exact"


def require_kind(kind: str, input_shape: tuple[int, ...] | None) -> None:
    """Raise ``ValueError`` for an unknown kind, or an input shape that does not fit it."""
    require_one_of(kind, "kind", choices=["matrix", "operator"])
    require(
        (input_shape is None) == (kind == "matrix"),
        "input_shape",
        expected="None for 'matrix'" if kind == "matrix" else "one such as (3, 32, 32)",
        got=input_shape,
    )


def set_up(
    module: nn.Module,
    optimizer: Optimizers,
    kernels: list[Kernel],
    options: Options,
) -> tuple[Normalizer, LayerCalls | None]:
    """Normalize the kernels, and follow the steps of their optimizers.

    Parameters
    ----------
    module
        The network.
    optimizer
        The optimizers of its weights, or wrappers of them.
    kernels
        The kernels to normalize.
    options
        The options of SpectralNorm. With an ``input_shape`` the norms are operator norms.

    Returns
    -------
    tuple
        The normalizer, and for operator norms the calls of the layers, else None.

    Raises
    ------
    ValueError
        If an option is wrong, an optimizer cannot be followed, or a weight cannot be normalized.
    """
    require_count(options.iterations, "iterations")
    coefficients = coefficient_of_each(options.coefficient, kernels, bound=options.bound)
    optimizers = base_optimizers(optimizer)
    require_free(kernels, optimizers)
    _require_normalizable(module, kernels)
    require_learnable(kernels, coefficients, optimizers)
    calls = None
    if options.input_shape is not None:
        calls = input_shapes(module, options.input_shape, _called_layers(module, kernels))
    norms = make_norms(module, kernels, calls, strict=options.strict)
    groups = make_groups(norms, coefficients, bound=options.bound)
    layers = [module.get_submodule(name) for kernel in kernels for name in kernel.layers]
    normalizer = Normalizer(module, groups, iterations=options.iterations)
    claim(normalizer, layers)
    for one in optimizers:
        for group in groups:
            group.coefficients.add_to_optimizer(group.norms, one)
        follow(normalizer, one)
    return normalizer, calls


def _require_normalizable(module: nn.Module, kernels: list[Kernel]) -> None:
    """Raise ``ValueError`` if a weight cannot be normalized. It waits for the device."""
    for kernel in kernels:
        name, weight = kernel.parameters[0], kernel.weight
        is_sparse = any(
            isinstance(layer := module.get_submodule(n), EMBEDDINGS) and layer.sparse
            for n in kernel.layers
        )
        require(
            not is_sparse,
            "module",
            expected="embeddings with sparse=False: the gradient of σ is dense",
            got=f"sparse=True in {kernel.layers[0]!r}",
        )
        require(
            weight.device.type != "meta",
            "module",
            expected="weights on a device (call to_empty and initialize them first)",
            got=f"{name!r} on the meta device",
        )
        require(
            not weight.is_inference(),
            "module",
            expected="weights made outside torch.inference_mode(), which can be trained",
            got=f"{name!r} made inside it",
        )
        require(
            bool(dtensor.local_tensor(weight).isfinite().all()),
            "module",
            expected="finite weights",
            got=f"NaN or infinity in {name!r}",
        )


def _called_layers(module: nn.Module, kernels: list[Kernel]) -> list[str]:
    """The names of the layers with these kernels that the network calls.

    This excludes ``out_proj`` of attention, whose weight attention reads without a call.
    """
    names = [name for kernel in kernels for name in kernel.layers]
    parents = {name: module.get_submodule(name.rpartition(".")[0]) for name in names if name}
    return [n for n in names if not isinstance(parents.get(n), nn.MultiheadAttention)]
