"""Tensors that share memory: which are the same, and which elements of one lie in another."""

# torch has no public name for the switch of its function modes
# pyright: reportPrivateUsage=false

from typing import Any

import torch
from torch import Tensor

from sngan.lipschitz.tracing.dependencies import storage_id

# the memory, the offset, the sizes, the strides and the type: tensors that agree in it are equal
ViewKey = tuple[int, int, tuple[int, ...], tuple[int, ...], torch.dtype]


class UntraceableError(Exception):
    """The module does something that a recording cannot show."""


def is_same_view(tensor: Tensor, index: Any, value: Any) -> bool:
    """Whether a value is the very part of the tensor that it is written to."""
    if not isinstance(value, Tensor) or storage_id(value) != storage_id(tensor):
        return False
    with torch._C.DisableTorchFunction():
        return view_key(tensor[index]) == view_key(value)


def view_key(tensor: Tensor) -> ViewKey:
    """The memory behind a tensor and the part of it that the tensor shows."""
    with torch._C.DisableTorchFunction():
        offset, shape, stride = tensor.storage_offset(), tensor.shape, tensor.stride()
        return storage_id(tensor), int(offset), tuple(shape), tuple(stride), tensor.dtype


def overlapping_places(key: ViewKey, written: ViewKey) -> Tensor | None:
    """For each element of a tensor its place in another of the same memory, or -1."""
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
    """One past the last place in memory that a tensor reaches."""
    return 1 + offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True) if n > 0)
