"""The processes that share a run: which one this is, its part of a batch, means over all.

Alone, without ``torch.distributed``, a process is rank 0 of 1 and nothing is communicated.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

_Result = TypeVar("_Result")


def is_grouped() -> bool:
    """Whether there is a process group, be it of one process."""
    return dist.is_available() and dist.is_initialized()


def count() -> int:
    """How many processes share the run."""
    return dist.get_world_size() if is_grouped() else 1


def own() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if is_grouped() else 0


def is_first() -> bool:
    """Whether this is the one process that writes and speaks."""
    return own() == 0


def share(rows: Tensor) -> Tensor:
    """Each rank's own rows of a batch of all ranks, in the order of their numbers."""
    return rows.chunk(count())[own()]


def draw(random: Callable[..., Tensor], size: Sequence[int], **options: Any) -> Tensor:
    """``random(size, **options)`` for this rank's samples, of one draw for those of all.

    All ranks have the same seed and draw the same: whatever their number, sample i gets the same.
    """
    return share(random((size[0] * count(), *size[1:]), **options))


def mean(value: Tensor) -> Tensor:
    """The mean over all ranks, the same on each; gradients are means over the ranks as well."""
    return _Mean.apply(value) if count() > 1 else value  # pyright: ignore


def least(value: Tensor) -> Tensor:
    """The smallest of all ranks, the same on each."""
    return _reduced(value, dist.ReduceOp.MIN) if count() > 1 else value


def any_of(flag: bool) -> bool:
    """Whether the flag is up on any rank; the hosts agree, no device is waited for."""
    return flag if count() == 1 else bool(_reduced(torch.tensor(int(flag)), dist.ReduceOp.MAX))


def of_first(value: _Result) -> _Result:
    """What the first rank has, on all."""
    if count() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def of_all(value: _Result) -> list[_Result]:
    """Gather one value of each rank on all ranks, in the order of their numbers."""
    if count() == 1:
        return [value]
    values: list[Any] = [None] * count()
    dist.all_gather_object(values, value)
    return values


def together(work: Callable[[], _Result]) -> _Result:
    """Do work that may be refused, on all ranks; where one fails, all raise its error."""
    if count() == 1:
        return work()
    result, error = None, None
    try:
        result = work()
    except Exception as failure:
        error = failure
    for failure in of_all(error):
        if failure is not None:
            raise failure
    return result  # pyright: ignore


def leave() -> None:
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
        return _reduced(value, dist.ReduceOp.SUM) / count()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004  # pyright: ignore
        return _reduced(gradient, dist.ReduceOp.SUM) / count()
