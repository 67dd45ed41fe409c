"""Ownership of weights: which SpectralNorm holds which weights, and for how long."""

import weakref
from collections.abc import Iterable

from torch import nn
from torch.optim import Optimizer

from sngan.spectral.normalizer import Normalizer
from sngan.spectral.optimizers import parameter_ids
from sngan.utils.checks import require
from sngan.utils.kernels import Kernel

# each layer keeps its normalizers alive
_normalizers_of_layer: weakref.WeakKeyDictionary[nn.Module, list[Normalizer]] = (
    weakref.WeakKeyDictionary()
)
_normalizers: weakref.WeakSet[Normalizer] = weakref.WeakSet()


def claim(normalizer: Normalizer, layers: Iterable[nn.Module]) -> None:
    """Keep the normalizer alive while one of its layers lives; release those that it replaces."""
    for other in list(_normalizers):
        if not other.ids.isdisjoint(normalizer.ids):
            release(other)
    for layer in layers:
        _normalizers_of_layer.setdefault(layer, []).append(normalizer)
    _normalizers.add(normalizer)


def release(normalizer: Normalizer) -> None:
    """Undo :func:`claim`, and stop following the optimizers."""
    _normalizers.discard(normalizer)
    for optimizer in normalizer.leave():
        if not any(other.follows(optimizer) for other in _normalizers):
            optimizer.defaults = dict(optimizer.defaults)
    for layer, held in list(_normalizers_of_layer.items()):
        if normalizer in held:
            held.remove(normalizer)
        if not held:
            del _normalizers_of_layer[layer]


def normalizers_of(optimizer: Optimizer) -> list[Normalizer]:
    """The normalizers of the weights that an optimizer holds.

    Raises
    ------
    RuntimeError
        If a layer or a normalized weight was replaced by another one.
    """
    if not _normalizers:
        return []
    held = parameter_ids(optimizer)
    for normalizer in _normalizers:
        normalizer.require_own_weights(held)
    return [normalizer for normalizer in _normalizers if not normalizer.ids.isdisjoint(held)]


def require_free(kernels: list[Kernel], optimizers: list[Optimizer]) -> None:
    """Raise ``ValueError`` if another SpectralNorm holds a weight, or no optimizer holds it."""
    stepped = {weight for optimizer in optimizers for weight in parameter_ids(optimizer)}
    owned = {weight for one in _normalizers if one.is_followed for weight in one.ids}
    for kernel in kernels:
        require(
            id(kernel.weight) not in owned,
            "module",
            expected="weights without another SpectralNorm (call its remove() first)",
            got=f"{kernel.names[0]!r}, normalized already",
        )
        require(
            id(kernel.weight) in stepped or not kernel.weight.requires_grad,
            "optimizer",
            expected="every trainable weight that is normalized",
            got=f"no parameter {kernel.parameters[0]}",
        )
