"""The processes that share a run: which one this is, its part of a batch, means over all.

Alone, without ``torch.distributed``, a process is rank 0 of 1 and nothing is communicated.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

_Result = TypeVar("_Result")


def is_initialized() -> bool:
    """Whether there is a process group, be it of one process."""
    return dist.is_available() and dist.is_initialized()


def world_size() -> int:
    """How many processes share the run."""
    return dist.get_world_size() if is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if is_initialized() else 0


def is_rank_zero() -> bool:
    """Whether this is the one process that writes and speaks."""
    return rank() == 0


def local_rows(rows: Tensor) -> Tensor:
    """Each rank's own rows of a batch of all ranks, in the order of their numbers."""
    return rows.chunk(world_size())[rank()]


def draw_local_rows(random: Callable[..., Tensor], size: Sequence[int], **options: Any) -> Tensor:
    """``random(size, **options)`` for this rank's samples, of one draw for those of all.

    All ranks have the same seed and draw the same: whatever their number, sample i gets the same.
    """
    return local_rows(random((size[0] * world_size(), *size[1:]), **options))


def all_reduce_mean(value: Tensor) -> Tensor:
    """The mean over all ranks, the same on each; gradients are means over the ranks as well."""
    return _Mean.apply(value) if world_size() > 1 else value  # pyright: ignore


def all_reduce_min(value: Tensor) -> Tensor:
    """The smallest of all ranks, the same on each."""
    return _reduced(value, dist.ReduceOp.MIN) if world_size() > 1 else value


def all_reduce_any(flag: bool) -> bool:
    """Whether the flag is up on any rank; the hosts agree, no device is waited for."""
    return flag if world_size() == 1 else bool(_reduced(torch.tensor(int(flag)), dist.ReduceOp.MAX))


def broadcast_object(value: _Result) -> _Result:
    """What the first rank has, on all."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def all_gather_object(value: _Result) -> list[_Result]:
    """Gather one value of each rank on all ranks, in the order of their numbers."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def raise_together(work: Callable[[], _Result]) -> _Result:
    """Do work that may be refused, on all ranks; where one fails, all raise its error."""
    if world_size() == 1:
        return work()
    result, error = None, None
    try:
        result = work()
    except Exception as failure:
        error = failure
    for failure in all_gather_object(error):
        if failure is not None:
            raise failure
    return result  # pyright: ignore


def destroy_group() -> None:
    """End this process's part in the group."""
    dist.destroy_process_group()


def _reduced(value: Tensor, operation: Any) -> Tensor:
    reduced = value.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(reduced, op=operation)
    return reduced


class _Mean(torch.autograd.Function):
    """The mean over ranks is its own adjoint."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:  # noqa: ARG004  # pyright: ignore
        return _reduced(value, dist.ReduceOp.SUM) / world_size()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004  # pyright: ignore
        return _reduced(gradient, dist.ReduceOp.SUM) / world_size()
