"""Which SpectralNorm a weight belongs to, and whether an optimizer fits it."""

import weakref
from typing import Any

from torch.optim import LBFGS, Optimizer
from torch.utils.weak import WeakIdKeyDictionary

from sngan._checks import require
from sngan.spectral.kernels import Kernel

_owners: "WeakIdKeyDictionary" = WeakIdKeyDictionary()


def claim(kernels: list[Kernel], owner: Any) -> None:
    """Let the owner, for as long as it lives, be the only one of these weights."""
    for kernel in kernels:
        _owners[kernel.weight] = weakref.ref(owner)


def release(kernels: list[Kernel]) -> None:
    """Undo :func:`claim`."""
    for kernel in kernels:
        _owners.pop(kernel.weight, None)


def check_ownership(kernels: list[Kernel], optimizer: Optimizer) -> None:
    """Raise ``ValueError`` if the weights have an owner, or the optimizer does not fit them."""
    require(
        isinstance(optimizer, Optimizer),
        "optimizer",
        expected="a torch.optim.Optimizer",
        got=type(optimizer).__name__,
    )
    require(
        not isinstance(optimizer, LBFGS),
        "optimizer",
        expected="one loss evaluation a step",
        got="LBFGS, which evaluates its closure several times",
    )
    stepped = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    for kernel in kernels:
        owner = _owners.get(kernel.weight)
        require(
            owner is None or owner() is None,
            "module",
            expected="weights without another SpectralNorm (call its remove() first)",
            got=f"{kernel.names[0]!r}, normalized already",
        )
        require(
            id(kernel.weight) in stepped or not kernel.weight.requires_grad,
            "optimizer",
            expected="every trainable weight that is normalized",
            got=f"no parameter {kernel.names[0]}.weight",
        )
