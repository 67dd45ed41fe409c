"""Write tracking: notices writes to normalized weights from outside, without a wait for the device.

Such writes load a checkpoint, swap an average of the weights in or out, or broadcast the weights of
one rank (DDP). torch counts the writes in place to a tensor, except those through ``weight.data``.
"""

# torch's counter of writes has no public name
# pyright: reportPrivateUsage=false

from collections.abc import Iterable, Sequence

import torch.distributed as dist
from torch import Tensor

from sngan.distributed import dtensor
from sngan.spectral.tracked_norms.base import TrackedNorm

# if the size of a weight along u changed by less than this, u still belongs to it
_SAME_SIZE = 1e-3
# u may lag behind a weight that changes fast; if power iterations find a norm that is larger by
# more than this factor, u belongs to another weight
_LAG = 1.5


class WriteTracker:
    """Tells which weights were written from outside, and whether their state still fits them."""

    def __init__(self, norms: Sequence[TrackedNorm]) -> None:
        self._norms = norms
        self._versions = [_version_of(norm) for norm in norms]
        self._sizes = [1.0] * len(norms)
        self._originals: dict[int, Tensor] = {}
        # weights that are loaded after their states
        self._awaited: set[int] = set()
        self._is_new = True

    def note(self, indices: Iterable[int], *, size: float | None = 1.0) -> None:
        """Remember the present versions of weights, and the ``‖W̄ᵀu‖/c`` that they now have."""
        for index in indices:
            self._versions[index] = _version_of(self._norms[index])
            if size is not None:
                self._sizes[index] = size

    def written_outside(self) -> list[int]:
        """The weights that were written or moved since they were noted."""
        pairs = zip(self._versions, self._norms, strict=True)
        return [i for i, (version, norm) in enumerate(pairs) if version != _version_of(norm)]

    def is_replaced(self, index: int, size: float, largest: float) -> bool:
        """Whether a written weight is another weight now, so that its ``u`` and σ are unknown.

        It is the same weight if its old values were written back, or if a state was loaded for it.

        Parameters
        ----------
        index
            The position of the weight.
        size
            Its ``‖Wᵀu‖/c``.
        largest
            The same after some power iterations.
        """
        if index in self._awaited:
            return False
        if self._is_new and self._may_be_broadcast(index):
            return True
        is_same = abs(size / self._sizes[index] - 1) <= _SAME_SIZE and largest <= _LAG * size
        return not is_same

    def keep(self, index: int, original: Tensor) -> None:
        """Keep a copy of a weight as it was found, until the first step."""
        self._originals[index] = original

    def load(self, indices: Iterable[int]) -> None:
        """Note that the states of weights were loaded, before or after the weights themselves."""
        loaded = set(indices)
        # weights without a write were in the network already, or are loaded later
        awaited = loaded.difference(self.written_outside())
        for index in awaited & self._originals.keys():
            self._norms[index].weight().copy_(self._originals[index])
        self._originals = {i: kept for i, kept in self._originals.items() if i not in loaded}
        self._awaited |= awaited
        self._is_new &= not loaded
        self.note(loaded)

    def begin_step(self) -> None:
        """Drop the notes that matter only before the first step after a start or a load."""
        self._originals.clear()
        self._awaited.clear()
        self._is_new = False

    def _may_be_broadcast(self, index: int) -> bool:
        """Whether DDP may have overwritten the first weights of all ranks with those of one rank.

        All ranks must then decide in the same way, although the weight of that one rank did not
        change.
        """
        weight = self._norms[index].kernel.weight
        is_written = weight._version != self._versions[index][0]
        is_alone = not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1
        return is_written and not is_alone


def _version_of(norm: TrackedNorm) -> tuple[int, int]:
    weight = norm.kernel.weight
    # a rank may hold no row of a sharded weight, but must notice writes to the rows of others
    return weight._version, 0 if dtensor.is_sharded(weight) else weight.data_ptr()
