"""Function calls in the recorded graph, with the values of their arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sngan.lipschitz.constants import LipschitzConstant
from sngan.lipschitz.rounding import multiply_up, sqrt_up


@dataclass(frozen=True)
class FunctionCall:
    """A recorded call with the values that it had; only ``args[0]`` depends on the input.

    ``is_second`` says that the function got ``args[0]`` as its second argument, after ``args[1]``.
    """

    name: str
    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any
    is_second: bool = False

    @property
    def options(self) -> tuple[Any, ...]:
        """The arguments after the tensor."""
        return self.args[1:]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the tensor that depends on the input."""
        return tuple(self.args[0].shape)

    def option(self, place: int, name: str, default: Any) -> Any:
        """Return the argument at ``place`` after the tensor, or of this name, or a default."""
        return self.options[place] if place < len(self.options) else self.kwargs.get(name, default)


CallRule = Callable[[FunctionCall], LipschitzConstant]


def scale_constant(constant: LipschitzConstant, gain: float) -> LipschitzConstant:
    """Return the constant of an operation followed by a linear operation of norm ``gain``."""
    if gain == 1.0:
        return constant
    return LipschitzConstant(
        multiply_up(constant.sigma, gain), constant.method, constant.affine, reason=constant.reason
    )


def broadcast_gain(tensor: Any, result: Tensor) -> float:
    """Return the norm of broadcasting: the root of the number of copies of each element."""
    if not isinstance(tensor, Tensor) or result.numel() <= tensor.numel():
        return 1.0
    return sqrt_up(result.numel() / tensor.numel())
