"""Transfer of weights between networks that agree in part, such as those of two resolutions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

_STAGE = re.compile(r"\bstages\.(\d+)\.")


@dataclass(frozen=True)
class Transfer:
    """The weights that a network can take: tensors by their names in it, and lists of layers.

    Attributes
    ----------
    tensors
        The tensors to load, all of the right shapes.
    taken, left
        The names of the layers that get all their tensors, and of those that keep their own.
    share
        The part of the network's numbers that ``tensors`` are.
    """

    tensors: dict[str, Tensor]
    taken: tuple[str, ...]
    left: tuple[str, ...]
    share: float


def find_transfer(network: nn.Module, saved: Mapping[str, Tensor], *, first: bool) -> Transfer:
    """Find the layers of a network whose tensors are saved with the same names and shapes.

    A network of another resolution has more or fewer stages. They are counted from the first stage
    or from the last one, whichever fits more weights.

    Parameters
    ----------
    network
        The network; it may be on the meta device. It is not changed.
    saved
        The tensors of the other network.
    first
        Whether stages are counted from the first one if both ways fit equally.
    """
    shift = _num_stages(network.state_dict()) - _num_stages(saved)
    shifts = (0, shift) if first else (shift, 0)
    found = [_fitting(network, _shifted(saved, by)) for by in shifts]
    return max(found, key=lambda one: one.share)


def _num_stages(tensors: Mapping[str, Tensor]) -> int:
    numbers = [int(found[1]) for name in tensors if (found := _STAGE.search(name))]
    return max(numbers, default=-1) + 1


def _shifted(tensors: Mapping[str, Tensor], by: int) -> dict[str, Tensor]:
    def renamed(found: re.Match[str]) -> str:
        return f"stages.{int(found[1]) + by}."

    return {_STAGE.sub(renamed, name, count=1): tensor for name, tensor in tensors.items()}


def _fitting(network: nn.Module, saved: Mapping[str, Tensor]) -> Transfer:
    layers: dict[str, dict[str, Tensor]] = {}
    for name, tensor in network.state_dict().items():
        layers.setdefault(name.rpartition(".")[0], {})[name] = tensor
    taken = {
        layer: own
        for layer, own in layers.items()
        if all(name in saved and saved[name].shape == one.shape for name, one in own.items())
    }
    names = [name for own in taken.values() for name in own]
    total = sum(one.numel() for own in layers.values() for one in own.values())
    return Transfer(
        tensors={name: saved[name] for name in names},
        taken=tuple(taken),
        left=tuple(layer for layer in layers if layer not in taken),
        share=sum(saved[name].numel() for name in names) / max(total, 1),
    )
