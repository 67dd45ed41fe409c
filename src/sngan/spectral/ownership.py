"""Which weights are under a SpectralNorm, and how long."""

import weakref
from collections.abc import Iterable

from torch import nn
from torch.optim import Optimizer

from sngan.spectral.constraint import Constraint
from sngan.spectral.kernels import Kernel
from sngan.spectral.optimizers import stepped_by
from sngan.utils.checks import require

# a constraint lives as long as one of its layers
_of_layer: weakref.WeakKeyDictionary[nn.Module, list[Constraint]] = weakref.WeakKeyDictionary()
_constraints: weakref.WeakSet[Constraint] = weakref.WeakSet()


def claim(constraint: Constraint, layers: Iterable[nn.Module]) -> None:
    """Keep the constraint while one of its layers lives; release what it replaces."""
    for other in list(_constraints):
        if not other.ids.isdisjoint(constraint.ids):
            release(other)
    for layer in layers:
        _of_layer.setdefault(layer, []).append(constraint)
    _constraints.add(constraint)


def release(constraint: Constraint) -> None:
    """Undo :func:`claim`, and leave the optimizers."""
    _constraints.discard(constraint)
    for optimizer in constraint.leave():
        if not any(other.follows(optimizer) for other in _constraints):
            optimizer.defaults = dict(optimizer.defaults)
    for layer, held in list(_of_layer.items()):
        if constraint in held:
            held.remove(constraint)
        if not held:
            del _of_layer[layer]


def constraints_of(optimizer: Optimizer) -> list[Constraint]:
    """The constraints on weights that an optimizer holds.

    Raises
    ------
    RuntimeError
        If a layer has another weight than the one that was normalized.
    """
    if not _constraints:
        return []
    held = stepped_by(optimizer)
    for constraint in _constraints:
        constraint.require_own_weights(held)
    return [constraint for constraint in _constraints if not constraint.ids.isdisjoint(held)]


def require_free(kernels: list[Kernel], optimizers: list[Optimizer]) -> None:
    """Raise ``ValueError`` if another SpectralNorm holds a weight, or no optimizer does."""
    stepped = {weight for optimizer in optimizers for weight in stepped_by(optimizer)}
    owned = {weight for one in _constraints if one.is_followed for weight in one.ids}
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
