"""Fit of saved tensors to a network, checked before anything is loaded."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


class MisfitError(ValueError):
    """Saved tensors belong to another network; the message names the first one that differs."""


def require_fit(network: nn.Module, saved: Mapping[str, Any]) -> None:
    """Raise unless saved tensors have the names and shapes of a network's state.

    The network may be on the meta device, where it takes no memory.

    Raises
    ------
    MisfitError
        If a name or a shape differs.
    """
    own = network.state_dict()
    for name in [*own, *saved]:
        expected, got = (_described(tensors.get(name)) for tensors in (own, saved))
        if expected != got:
            raise MisfitError(f"{name} is {got} in the file, and {expected} by the settings")


def _described(tensor: Any) -> str:
    if tensor is None:
        return "missing"
    shape = "×".join(map(str, tensor.shape)) if isinstance(tensor, Tensor) else "no tensor"
    return shape or "a number"
