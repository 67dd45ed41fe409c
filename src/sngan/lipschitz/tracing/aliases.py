"""Aliases: tensors that share memory, and the elements that they have in common."""

# torch has no public name for the switch of its function modes
# pyright: reportPrivateUsage=false

from typing import Any

import torch
from torch import Tensor

from sngan.lipschitz.tracing.dependencies import storage_id
from sngan.lipschitz.tracing.errors import UntraceableError

# the memory, offset, sizes, strides and type of a tensor: tensors with one key are equal
ViewKey = tuple[int, int, tuple[int, ...], tuple[int, ...], torch.dtype]


def is_same_view(tensor: Tensor, index: Any, value: Any) -> bool:
    """Whether a value is the same view of memory as ``tensor[index]``."""
    if not isinstance(value, Tensor) or storage_id(value) != storage_id(tensor):
        return False
    with torch._C.DisableTorchFunction():
        return view_key(tensor[index]) == view_key(value)


def view_key(tensor: Tensor) -> ViewKey:
    """Return the memory of a tensor and the part of it that the tensor shows."""
    with torch._C.DisableTorchFunction():
        offset, shape, stride = tensor.storage_offset(), tensor.shape, tensor.stride()
        return storage_id(tensor), int(offset), tuple(shape), tuple(stride), tensor.dtype


def overlapping_places(key: ViewKey, written: ViewKey) -> Tensor | None:
    """Return, for each element of a tensor, its place in another tensor of the same memory, or -1.

    The result is None if the two tensors share no element.
    """
    (_, offset, shape, stride, dtype), (_, start, sizes, strides, other) = key, written
    if dtype != other:
        raise UntraceableError("a tensor is changed under another type")
    ends = (_end(offset, shape, stride), _end(start, sizes, strides))
    places = torch.full((max(ends),), -1)
    inside = places.as_strided(sizes, strides, start)
    inside.copy_(torch.arange(inside.numel()).view(sizes))
    found = places.as_strided(shape, stride, offset)
    return found if bool((found >= 0).any()) else None


def _end(offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> int:
    """Return the place in memory after the last element of a tensor."""
    return 1 + offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True) if n > 0)
