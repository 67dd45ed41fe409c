"""The state of SpectralNorm inside the state dict of an optimizer.

Each parameter group carries, under one key, ``{position of the weight: states of its norms}``.
So it is enough to save the network and its optimizer, the names of layers and of wrappers do not
matter, and an optimizer that is loaded before SpectralNorm is made keeps the entries until then.
"""

from typing import Any

from torch import Tensor
from torch.optim import Optimizer

KEY = "spectral_norm"

NormStates = list[dict[str, Any]]


def store(optimizer: Optimizer, state_dict: dict[str, Any], parts: dict[int, NormStates]) -> None:
    """Add the parts, by the id of their weight, to what ``optimizer.state_dict()`` returns."""
    for group, packed in zip(optimizer.param_groups, state_dict["param_groups"], strict=True):
        weights: list[Tensor] = group["params"]
        own = {str(at): parts[id(w)] for at, w in enumerate(weights) if id(w) in parts}
        if own:
            packed[KEY] = {**packed.get(KEY, {}), **own}


def take(optimizer: Optimizer, ids: set[int]) -> dict[int, NormStates]:
    """Remove from an optimizer the parts of these weights that were loaded into it."""
    parts: dict[int, NormStates] = {}
    for group in optimizer.param_groups:
        loaded: dict[str, NormStates] = group.get(KEY, {})
        for at, weight in enumerate(group["params"]):
            if id(weight) in ids and str(at) in loaded:
                parts[id(weight)] = loaded[str(at)]
        rest = {at: part for at, part in loaded.items() if id(group["params"][int(at)]) not in ids}
        if rest:
            group[KEY] = rest
        else:
            group.pop(KEY, None)
    return parts
