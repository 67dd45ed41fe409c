"""Activations with one kink at 0 whose slope has a derivative, so that points can move across it.

The slope of ``relu`` is 0 or 1, so the derivative of a Jacobian in the input is 0 almost
everywhere. In :class:`SwitchingSlopes` the slope of such an activation keeps its value, and gets
a derivative of another kind: let g be the derivative of the objective in the slope of one element
z. If g is positive, z should become positive, and else negative. So the derivative in z is g as
long as z is not on the right side by a margin, and 0 there: the derivative of the hinge loss
``|g|·max(0, margin − sign(g)·z)``.
"""

# torch has no names for the arguments of autograd functions
# pyright: reportIncompatibleMethodOverride=false

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from sngan.lipschitz.rules.functions import torch_name

_TINY = 1e-300


class SwitchingSlopes(TorchFunctionMode):
    """Computes ``relu``, ``leaky_relu`` and ``abs`` with slopes that have a derivative.

    Attributes
    ----------
    margin
        The margin, relative to the root mean square of the values of a sample.
    leak
        A number in [0, 1) by which slopes that are off come closer to those that are on, so that
        neurons behind others that are off have a derivative, too.
    count
        The number of calls of these activations.
    """

    def __init__(self) -> None:
        super().__init__()
        self.margin = 0.0
        self.leak = 0.0
        self.count = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call ``func``, or the activation with another derivative in its place."""
        kwargs = kwargs or {}
        slopes = _slopes(torch_name(func), args, kwargs)
        if slopes is None or not isinstance(args[0], Tensor) or not args[0].requires_grad:
            return func(*args, **kwargs)
        self.count += 1
        values: Tensor = args[0]
        is_in_place = func.__name__.endswith("_") or kwargs.get("inplace") or args[-1] is True
        if not is_in_place:
            return _Switch.apply(values, *slopes, self.margin, self.leak)
        return values.copy_(_Switch.apply(values.clone(), *slopes, self.margin, self.leak))


def _slopes(
    name: str, args: tuple[Any, ...], options: dict[str, Any]
) -> tuple[float, float] | None:
    """Return the slopes below and above 0; None for other functions."""
    if not args:
        return None
    if name == "relu":
        return 0.0, 1.0
    if name == "abs":
        return -1.0, 1.0
    if name == "leaky_relu":
        given = args[1] if len(args) > 1 else options.get("negative_slope", 0.01)
        return float(given), 1.0
    return None


class _Switch(torch.autograd.Function):
    """An activation with a kink at 0, whose first derivative is exact without a leak."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, below: float, above: float, margin: float, leak: float
    ) -> Tensor:
        ctx.save_for_backward(values)
        ctx.slopes, ctx.margin, ctx.leak = (below, above), margin, leak
        return torch.where(values > 0, above * values, below * values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (values,) = ctx.saved_tensors
        below, above = ctx.slopes
        gate: Any = _Gate.apply(values, ctx.margin)
        gate = gate + ctx.leak * (1 - gate)
        return gradient * (below + (above - below) * gate), None, None, None, None


class _Gate(torch.autograd.Function):
    """1 where a value is positive, else 0, with the derivative of the module docstring."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, margin: float) -> Tensor:
        ctx.save_for_backward(values)
        ctx.margin = margin
        return (values > 0).to(values.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (values,) = ctx.saved_tensors
        others = tuple(range(1, values.dim())) or None
        size = values.square().mean(dim=others, keepdim=True).sqrt().clamp_min(_TINY)
        is_wrong = gradient.sign() * values < ctx.margin * size
        return gradient * is_wrong / size, None
