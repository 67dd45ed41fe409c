"""Reuse of memory among the results of recorded operations.

Memory that is written anew in each operation leaves the processor's cache before it is read again.
A result that only later operations of the same step read gives its memory to results after its last
use, as torch's allocator would have done in the step itself.
"""

# torch has no public count of the holders of a storage
# pyright: reportPrivateUsage=false

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from sngan.engine.recording import Call, storage_of, tensors_in


def with_reused_memory(recorded: Sequence[Call], kept: Sequence[Call]) -> list[Call]:
    """Return the kept calls on memory that is reused where nothing outside of them holds it.

    Parameters
    ----------
    recorded
        All calls of the step.
    kept
        Those that are repeated.
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
    """The storages that kept calls create, and that only tensors of the recording hold."""
    aliases = {id(tensor): tensor for call in recorded for tensor in tensors_in(tuple(call[1:]))}
    counts = Counter(map(storage_of, aliases.values()))
    private: set[int] = set()
    for call in kept:
        if call.written:
            continue
        for tensor in call.outputs:
            storage = tensor.untyped_storage()
            # one more for the variable in this line
            if torch._C._storage_Use_Count(storage._cdata) == counts[storage_of(tensor)] + 1:
                private.add(storage_of(tensor))
    return private
