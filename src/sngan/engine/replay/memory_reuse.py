"""Reuse of memory among the results of recorded operations.

If each result had memory of its own, it would leave the processor's cache before its next use. So
a result that only later operations of the same step read gives its memory to other results after
its last use. Torch's allocator does the same in a step.
"""

# torch has no public count of the holders of a storage
# pyright: reportPrivateUsage=false

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from sngan.engine.replay.recording import Call, storage_of, tensors_in


def with_reused_memory(recorded: Sequence[Call], kept: Sequence[Call]) -> list[Call]:
    """Return the kept calls on reused memory; memory that others hold stays as it is.

    Parameters
    ----------
    recorded
        All calls of the step.
    kept
        The calls that are repeated.
    """
    last: dict[int, int] = {}
    for index, call in enumerate(kept):
        last |= dict.fromkeys(map(storage_of, tensors_in(tuple(call[1:]))), index)
    private = _private(recorded, kept)
    free: dict[int, list[Any]] = {}
    places: dict[int, Any] = {}
    for index, call in enumerate(kept):
        for tensor in call.outputs:
            own, storage = storage_of(tensor), tensor.untyped_storage()
            if own in private and own not in places:
                waiting = free.get(storage.nbytes())
                places[own] = waiting.pop() if waiting else storage
        for own in set(map(storage_of, tensors_in(tuple(call[1:])))):
            if own in places and last[own] == index:
                free.setdefault(places[own].nbytes(), []).append(places[own])

    def moved(tensor: Tensor) -> Tensor:
        place = places.get(storage_of(tensor))
        if place is None:
            return tensor
        empty = torch.empty(0, dtype=tensor.dtype)
        return empty.set_(place, tensor.storage_offset(), tensor.shape, tensor.stride())

    return [Call(call.function, *tree_map_only(Tensor, moved, tuple(call[1:]))) for call in kept]


def _private(recorded: Sequence[Call], kept: Sequence[Call]) -> set[int]:
    """Return the storages that kept calls create and that only tensors of the recording hold."""
    aliases = {id(tensor): tensor for call in recorded for tensor in tensors_in(tuple(call[1:]))}
    counts = Counter(map(storage_of, aliases.values()))
    private: set[int] = set()
    for call in kept:
        if call.written:
            continue
        for tensor in call.outputs:
            storage = tensor.untyped_storage()
            # the variable ``storage`` holds it too
            if torch._C._storage_Use_Count(storage._cdata) == counts[storage_of(tensor)] + 1:
                private.add(storage_of(tensor))
    return private
