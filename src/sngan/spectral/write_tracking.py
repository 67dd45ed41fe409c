"""Writes to normalized weights from outside, noticed without a wait for the device.

A checkpoint that is loaded, an average that is swapped in and out, weights that DDP broadcasts:
torch counts the writes in place to a tensor, all but those through ``weight.data``.
"""

# torch's counter of writes has no public name
# pyright: reportPrivateUsage=false

from collections.abc import Iterable, Sequence

import torch.distributed as dist
from torch import Tensor

from sngan.distributed import dtensor
from sngan.spectral.tracked_norms.base import TrackedNorm

# a weight whose size along u changed by less than this is still the one that u belongs to
_SAME = 1e-3
# u may lag behind a weight that moves fast; by more than this factor it belongs to another one
_LAG = 1.5


class WriteTracker:
    """Tells, for each of some weights, who wrote it last and whether its state still fits it."""

    def __init__(self, norms: Sequence[TrackedNorm]) -> None:
        self._norms = norms
        self._versions = [_version_of(norm) for norm in norms]
        self._sizes = [1.0] * len(norms)
        self._originals: dict[int, Tensor] = {}
        self._awaited: set[int] = set()
        self._is_new = True

    def note(self, indices: Iterable[int], *, size: float | None = 1.0) -> None:
        """Remember that writes are known; with a size, that they left ``‖W̄ᵀu‖/c`` there."""
        for index in indices:
            self._versions[index] = _version_of(self._norms[index])
            if size is not None:
                self._sizes[index] = size

    def outside(self) -> list[int]:
        """The weights that somebody else wrote or moved since."""
        pairs = zip(self._versions, self._norms, strict=True)
        return [i for i, (version, norm) in enumerate(pairs) if version != _version_of(norm)]

    def is_replaced(self, index: int, size: float, largest: float) -> bool:
        """Whether what was written is another weight, for which neither ``u`` nor σ is known.

        ``size`` is its ``‖Wᵀu‖/c``, ``largest`` that of some power iterations later. A weight that
        was written back, or for which a state was loaded, is the same one.
        """
        if index in self._awaited:
            return False
        if self._is_new and self._is_broadcast(index):
            return True
        is_same = abs(size / self._sizes[index] - 1) <= _SAME and largest <= _LAG * size
        return not is_same

    def keep(self, index: int, original: Tensor) -> None:
        """Keep a weight as it was found, until the first step."""
        self._originals[index] = original

    def load(self, indices: Iterable[int]) -> None:
        """Note that the states of weights were loaded, before or after the weights themselves."""
        loaded = set(indices)
        # the others were found in the network as they are to be, or are not loaded yet
        awaited = loaded.difference(self.outside())
        for index in awaited & self._originals.keys():
            self._norms[index].weight().copy_(self._originals[index])
        self._originals = {i: kept for i, kept in self._originals.items() if i not in loaded}
        self._awaited |= awaited
        self._is_new &= not loaded
        self.note(loaded)

    def begin_step(self) -> None:
        """Forget what matters before the first step after a start or a load."""
        self._originals.clear()
        self._awaited.clear()
        self._is_new = False

    def _is_broadcast(self, index: int) -> bool:
        """Whether ranks that started from weights of their own may all have those of one rank now.

        All of them must then decide alike, and on that rank the weight is the same as before.
        """
        weight = self._norms[index].kernel.weight
        is_written = weight._version != self._versions[index][0]
        is_alone = not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1
        return is_written and not is_alone


def _version_of(norm: TrackedNorm) -> tuple[int, int]:
    weight = norm.kernel.weight
    # a rank may have no row of a sharded weight, but must notice what the others do
    return weight._version, 0 if dtensor.is_sharded(weight) else weight.data_ptr()
