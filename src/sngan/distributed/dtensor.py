"""Tensors of which each rank holds a part: torch's ``DTensor``, as ``fully_shard`` leaves them.

What gathers is collective: all ranks call it, in the same order.
"""

import sys
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from typing_extensions import TypeIs

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def is_sharded(tensor: Tensor) -> "TypeIs[DTensor]":
    """Whether each rank holds but a part of the tensor, or one of equal copies."""
    # asked several times a weight and step
    if type(tensor) in (Tensor, nn.Parameter):
        return False
    # before somebody imports the class, which takes half a second, no tensor is one
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def local_tensor(tensor: Tensor) -> Tensor:
    """The part of this rank, outside any graph: a view, to be changed in place."""
    return tensor.to_local().detach() if is_sharded(tensor) else tensor.detach()


def full_tensor(tensor: Tensor) -> Tensor:
    """The tensor with the parts of all ranks, outside any graph; a plain one is itself."""
    return tensor.full_tensor().detach() if is_sharded(tensor) else tensor.detach()


def distribute_like(tensor: Tensor, like: "DTensor") -> "DTensor":
    """Shard a tensor that all ranks have, as another one is, contiguous; nothing is sent."""
    from torch.distributed.tensor import DTensor, Replicate

    mesh = like.device_mesh
    copies = DTensor.from_local(
        tensor.contiguous(), mesh, [Replicate()] * mesh.ndim, run_check=False
    )
    return copies.redistribute(placements=like.placements)


def reshard(module: nn.Module) -> None:
    """Free the gathered weights of a module, so that its parameters are the sharded ones again."""
    fsdp: Any = sys.modules.get("torch.distributed.fsdp")
    if fsdp is not None:
        layers: list[Any] = [m for m in module.modules() if isinstance(m, fsdp.FSDPModule)]
        for layer in layers:
            layer.reshard()
