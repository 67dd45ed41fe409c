"""Float64 mode: casts to other real types do nothing, and constants become float64."""

# torch has no public name for the switch of its function modes
# pyright: reportPrivateUsage=false

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from sngan.lipschitz.structures import map_structure, tensors_in

_NARROW = (torch.float32, torch.float16, torch.bfloat16)
_CASTS = (Tensor.float, Tensor.half, Tensor.bfloat16)


class Float64Mode(TorchFunctionMode):
    """Computes in float64, also where the code asks for less precision.

    A bound is a statement about exact arithmetic. So ``x.float()`` and ``x.to(torch.float16)``
    leave a float64 tensor as it is, and a tensor of less precision enters an operation with its
    exact value. Integers, booleans and complex numbers stay as they are.
    """

    def __init__(self) -> None:
        super().__init__()
        self._widened: dict[int, tuple[Tensor, Tensor]] = {}

    def __exit__(self, *raised: Any) -> None:
        """Drop the converted constants of this pass."""
        self._widened.clear()
        super().__exit__(*raised)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call ``func`` with float64 in place of types of less precision."""
        given: tuple[Any, Any] = (args, kwargs or {})
        if func in _CASTS:
            func = Tensor.double
        # Tensor.view with a type reads bits, and a new tensor holds values of its own type
        elif func is not Tensor.view and tensors_in(given):
            given = map_structure(given, lambda part: torch.float64 if _is_narrow(part) else part)
        args, kwargs = map_structure(given, self._widen)
        return map_structure(func(*args, **kwargs), self._widen)

    def _widen(self, part: Any) -> Any:
        """Return the part, or its float64 copy: one tensor has one copy during a pass."""
        if not isinstance(part, Tensor):
            return part
        with torch._C.DisableTorchFunction():
            if part.dtype not in _NARROW:
                return part
            if id(part) not in self._widened:
                # the reference keeps the tensor alive, so that no other tensor gets its id
                self._widened[id(part)] = (part, part.double())
            return self._widened[id(part)][1]


def _is_narrow(part: Any) -> bool:
    return isinstance(part, torch.dtype) and part in _NARROW
