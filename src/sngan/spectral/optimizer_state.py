"""Optimizer state: the state of SpectralNorm inside the state dict of an optimizer.

Each parameter group has one more key, with ``{position of the weight: states of its norms}``. So it
is enough to save the network and its optimizer. The names of layers and wrappers do not
matter. An optimizer that is loaded before SpectralNorm is made keeps the entries until then.
"""

from typing import Any

from torch import Tensor
from torch.optim import Optimizer

KEY = "spectral_norm"

NormStates = list[dict[str, Any]]


def store(optimizer: Optimizer, state_dict: dict[str, Any], states: dict[int, NormStates]) -> None:
    """Add the states of norms, by the id of their weight, to an optimizer's state dict.

    Parameters
    ----------
    optimizer
        The optimizer.
    state_dict
        Its state dict, which gets one more entry in each parameter group.
    states
        The states of the norms of each weight, by the id of the weight.
    """
    for group, packed in zip(optimizer.param_groups, state_dict["param_groups"], strict=True):
        weights: list[Tensor] = group["params"]
        own = {str(at): states[id(w)] for at, w in enumerate(weights) if id(w) in states}
        if own:
            packed[KEY] = {**packed.get(KEY, {}), **own}


def take(optimizer: Optimizer, ids: set[int]) -> dict[int, NormStates]:
    """Remove the states that were loaded into an optimizer for these weights, and return them."""
    states: dict[int, NormStates] = {}
    for group in optimizer.param_groups:
        loaded: dict[str, NormStates] = group.get(KEY, {})
        for at, weight in enumerate(group["params"]):
            if id(weight) in ids and str(at) in loaded:
                states[id(weight)] = loaded[str(at)]
        rest = {
            at: state for at, state in loaded.items() if id(group["params"][int(at)]) not in ids
        }
        if rest:
            group[KEY] = rest
        else:
            group.pop(KEY, None)
    return states
