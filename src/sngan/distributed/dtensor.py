"""DTensor helpers: tensors of which each rank holds a part, as ``fully_shard`` makes them.

Functions that gather parts are collective: all ranks call them, in the same order.
"""

import sys
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from typing_extensions import TypeIs

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def is_sharded(tensor: Tensor) -> "TypeIs[DTensor]":
    """Whether the tensor is a ``DTensor``: each rank holds a part, or one of equal copies."""
    # a quick answer for plain tensors: each step asks several times for each weight
    if type(tensor) in (Tensor, nn.Parameter):
        return False
    # importing the class takes half a second; until other code imports it, no tensor is a DTensor
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def local_tensor(tensor: Tensor) -> Tensor:
    """Return this rank's part, detached: a view that may be changed in place."""
    return tensor.to_local().detach() if is_sharded(tensor) else tensor.detach()


def full_tensor(tensor: Tensor) -> Tensor:
    """Return the whole tensor with the parts of all ranks, detached."""
    return tensor.full_tensor().detach() if is_sharded(tensor) else tensor.detach()


def distribute_like(tensor: Tensor, like: "DTensor") -> "DTensor":
    """Shard a tensor as ``like`` is. All ranks hold the whole tensor, so nothing is sent."""
    from torch.distributed.tensor import DTensor, Replicate

    mesh = like.device_mesh
    copies = DTensor.from_local(
        tensor.contiguous(), mesh, [Replicate()] * mesh.ndim, run_check=False
    )
    return copies.redistribute(placements=like.placements)


def reshard(module: nn.Module) -> None:
    """Free the gathered weights of a module: its parameters are sharded again afterwards."""
    fsdp: Any = sys.modules.get("torch.distributed.fsdp")
    if fsdp is not None:
        layers: list[Any] = [m for m in module.modules() if isinstance(m, fsdp.FSDPModule)]
        for layer in layers:
            layer.reshard()
