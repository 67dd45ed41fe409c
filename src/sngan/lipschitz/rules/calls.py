"""A call of a function in the recorded graph, with the values of its arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sngan.lipschitz.constants import LipschitzConstant
from sngan.lipschitz.rounding import multiply_up, sqrt_up


@dataclass(frozen=True)
class FunctionCall:
    """A call with the values it had; only ``args[0]`` depends on the network's input.

    ``is_second`` says that the function got it in second place, after what is ``args[1]`` here.
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
        """The tensor's shape."""
        return tuple(self.args[0].shape)

    def option(self, place: int, name: str, default: Any) -> Any:
        """The argument at ``place`` after the tensor, or of this name."""
        return self.options[place] if place < len(self.options) else self.kwargs.get(name, default)


CallRule = Callable[[FunctionCall], LipschitzConstant]


def scale_constant(constant: LipschitzConstant, size: float) -> LipschitzConstant:
    """The factor of an operation followed by one of norm ``size``."""
    if size == 1.0:
        return constant
    return LipschitzConstant(
        multiply_up(constant.sigma, size), constant.method, constant.affine, reason=constant.reason
    )


def broadcast_gain(tensor: Any, result: Tensor) -> float:
    """The constant of broadcasting: the root of the number of times each element is repeated."""
    if not isinstance(tensor, Tensor) or result.numel() <= tensor.numel():
        return 1.0
    return sqrt_up(result.numel() / tensor.numel())
