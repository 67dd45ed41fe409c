"""Dependency tracking: which memory was computed from the input, seen in every kernel that runs."""

# torch has no public names for the switch of its function modes and for the schema of a kernel
# pyright: reportPrivateUsage=false

import gc
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from sngan.lipschitz.structures import tensors_in
from sngan.lipschitz.tracing.kernel_mode import KernelMode


class DependencyTracker(KernelMode):
    """Tracks for every tensor whether its memory was computed from the input, and by which kernel.

    A function that the tracer does not see still runs kernels, and this mode sees them. It does not
    see kernels of other threads. So a tensor is unknown if it is not one of the ``older`` ones and
    no kernel that this mode saw has made it.
    """

    def __init__(self, source: Tensor, older: Iterable[Tensor]) -> None:
        super().__init__()
        # the order of appearance of each storage; the reference keeps its address unique
        self._known: dict[int, tuple[int, Any]] = {}
        for tensor in [*older, source]:
            self._remember(tensor)
        self._origins = {storage_id(source): "the input"}
        self._read: set[int] = set()
        self._written: set[int] = set()
        # True while the kernels that run belong to an operation that the tracer records
        self.is_recording = False
        self.leaks: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run a kernel, and note the memory that it reads and writes."""
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunction():
            result = func(*args, **kwargs)
            written = {storage_id(tensor) for tensor in _written_by(func, args, kwargs)}
            read = {storage_id(tensor) for tensor in tensors_in((args, kwargs))}
            read &= self._origins.keys()
            made = tensors_in(result)
            if read and any(map(self.depends_on_input, _arguments_that_decide_shape(func, args))):
                self.leaks.append(f"in {func} values decide the shape of a tensor, or an error")
            if read and not self.is_recording and (not made or not written.isdisjoint(read)):
                self.leaks.append(f"{func} runs where no torch function was called")
            if read:
                for storage in [*written, *map(storage_id, made)]:
                    self._origins.setdefault(storage, str(func))
            for tensor in made:
                self._remember(tensor)
        self._read |= read
        self._written |= written
        return result

    def depends_on_input(self, tensor: Tensor) -> bool:
        """Whether the tensor's memory was computed from the input."""
        return storage_id(tensor) in self._origins

    def origin(self, tensor: Tensor) -> str:
        """Return the first kernel that wrote a result of the input into the tensor's memory."""
        return self._origins[storage_id(tensor)]

    def knows(self, tensor: Tensor) -> bool:
        """Whether the tensor existed before the trace, or a kernel that this mode saw made it."""
        return storage_id(tensor) in self._known

    def mark_independent(self, tensor: Tensor) -> None:
        """Mark a tensor as independent of the input, because only a shape was needed to make it."""
        self._origins.pop(storage_id(tensor), None)

    def mark_dependent(self, tensor: Tensor, origin: str) -> None:
        """Mark a tensor as dependent on the input."""
        self._origins.setdefault(storage_id(tensor), origin)

    def start_interval(self) -> int:
        """Forget all accesses, and return the present moment for :meth:`accesses_since`."""
        self._read, self._written = set(), set()
        return len(self._known)

    def accesses_since(self, moment: int) -> tuple[set[int], set[int]]:
        """Return two sets: input-dependent memory that kernels read, and memory that they wrote.

        Memory that is younger than ``moment`` is left out.
        """
        read, written = (
            {storage for storage in touched if self._known[storage][0] < moment}
            for touched in (self._read, self._written)
        )
        return read, written

    def _remember(self, tensor: Tensor) -> None:
        try:
            storage = tensor.untyped_storage()
        except (RuntimeError, NotImplementedError):
            # a sparse tensor has no storage; it stays unknown, so the tracer refuses to read it
            return
        self._known.setdefault(storage._cdata, (len(self._known), storage))


def live_tensors() -> list[Tensor]:
    """Return all tensors that Python holds; this looks at every object, so it is slow."""
    return [item for item in gc.get_objects() if issubclass(type(item), Tensor)]


def storage_id(tensor: Tensor) -> int:
    """Return the identity of the memory of a tensor."""
    with torch._C.DisableTorchFunction():
        return tensor.untyped_storage()._cdata


def _arguments_that_decide_shape(func: Any, args: tuple[Any, ...]) -> list[Tensor]:
    """Return the arguments whose values decide the shape of a result, or whether a kernel fails."""
    if torch.Tag.dynamic_output_shape not in func.tags:
        return []
    # the indices decide the shape, not the tensor that they index
    is_selection = func.overloadpacket in (torch.ops.aten.index, torch.ops.aten.masked_select)
    return tensors_in(args[1:] if is_selection else args)


def _written_by(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """Return the arguments that a kernel writes to, by its schema."""
    found: list[Tensor] = []
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            given = args[place] if place < len(args) else kwargs.get(argument.name)
            found += tensors_in(given)
    return found
