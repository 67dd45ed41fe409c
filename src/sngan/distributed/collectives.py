"""Collectives: rank and world size, reductions, and the rows of a batch that belong to a rank.

Without ``torch.distributed`` a process is rank 0 of 1, and nothing is communicated.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

_Result = TypeVar("_Result")


def is_initialized() -> bool:
    """Whether a process group exists, even if it has only one process."""
    return dist.is_available() and dist.is_initialized()


def world_size() -> int:
    """The number of processes that share the run."""
    return dist.get_world_size() if is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if is_initialized() else 0


def is_rank_zero() -> bool:
    """Whether this is rank 0, the only process that writes files and prints."""
    return rank() == 0


def local_rows(rows: Tensor) -> Tensor:
    """Return this rank's rows of a batch of all ranks: rank 0 has the first rows."""
    return rows.chunk(world_size())[rank()]


def draw_local_rows(random: Callable[..., Tensor], size: Sequence[int], **options: Any) -> Tensor:
    """Draw random numbers for this rank's samples.

    All ranks have the same seed. Each draws the numbers for the samples of all ranks and keeps its
    own rows, so the numbers of sample i do not depend on the number of ranks.

    Parameters
    ----------
    random
        A function such as ``torch.randn``.
    size
        The shape for this rank's samples; the first dimension counts them.
    options
        Further arguments of ``random``.
    """
    return local_rows(random((size[0] * world_size(), *size[1:]), **options))


def all_reduce_mean(value: Tensor) -> Tensor:
    """Return the mean over all ranks. Its gradient is the mean of the ranks' gradients."""
    if world_size() == 1:
        return value
    return _Mean.apply(value)  # pyright: ignore[reportReturnType]


def all_reduce_min(value: Tensor) -> Tensor:
    """Return the minimum over all ranks, element by element."""
    return _reduced(value, dist.ReduceOp.MIN) if world_size() > 1 else value


def all_reduce_any(flag: bool) -> bool:
    """Return whether the flag is set on any rank. Only the hosts communicate, not the devices."""
    return all_reduce_any_of([flag])[0]


def all_reduce_any_of(flags: Sequence[bool]) -> list[bool]:
    """Return for each flag whether it is set on any rank, in one message between the hosts."""
    if world_size() == 1:
        return list(flags)
    return _reduced(torch.tensor(flags, dtype=torch.int64), dist.ReduceOp.MAX).bool().tolist()


def broadcast_object(value: _Result) -> _Result:
    """Return rank 0's object on all ranks."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def all_gather_object(value: _Result) -> list[_Result]:
    """Return the objects of all ranks, ordered by rank."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def raise_together(work: Callable[[], _Result]) -> _Result:
    """Do work that may fail, on all ranks. If it fails on one rank, all ranks raise that error."""
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
    return result  # pyright: ignore[reportReturnType]


def destroy_group() -> None:
    """Leave the process group."""
    dist.destroy_process_group()


def _reduced(value: Tensor, operation: Any) -> Tensor:
    reduced = value.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(reduced, op=operation)
    return reduced


class _Mean(torch.autograd.Function):
    """Mean over ranks. The backward pass is the same mean, because the mean is self-adjoint."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:  # noqa: ARG004  # pyright: ignore[reportIncompatibleMethodOverride]
        return _reduced(value, dist.ReduceOp.SUM) / world_size()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004  # pyright: ignore[reportIncompatibleMethodOverride]
        return _reduced(gradient, dist.ReduceOp.SUM) / world_size()
