"""Ranges of the derivative of activations on intervals, one for each element."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sngan.lipschitz.rules.functions import torch_name
from sngan.lipschitz.tracing.graph import Graph, Node

# room for the rounding of a derivative in float64
_ROUNDING = 1e-12
# room for the rounding of a mean slope over a distance above ``near``, relative to the range
_CHORD_ROUNDING = 1e-5


@dataclass(frozen=True)
class Pieces:
    """A continuous function that is linear between breaks; there is one more slope than breaks.

    A break or a slope is a number, or a tensor with one number for each element.
    """

    breaks: Sequence[float]
    slopes: Sequence[float | Tensor]

    def on(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Return the smallest and the largest slope of the pieces that ``[low, high]`` meets."""
        least, most = torch.full_like(low, math.inf), torch.full_like(low, -math.inf)
        ends = [-math.inf, *self.breaks, math.inf]
        for start, stop, slope in zip(ends, ends[1:], self.slopes, strict=False):
            meets = (high >= start) & (low <= stop)
            value = torch.as_tensor(slope, dtype=low.dtype).expand(low.shape)
            least = torch.where(meets, torch.minimum(least, value), least)
            most = torch.where(meets, torch.maximum(most, value), most)
        return least, most

    def chords(
        self, centre: Tensor, low: Tensor, high: Tensor, *, near: Tensor, error: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the range of ``(a(z) − a(centre))/(z − centre)`` for z in ``[low, high]``.

        The quotient is monotone in z on each piece, so it is extreme at the ends of pieces. Around
        the centre it is a mean of the slopes there.

        Parameters
        ----------
        centre, low, high
            The points, with ``low ≤ centre ≤ high``.
        near
            Distances from the centre below which only the slopes count, at least ``4·error``.
        error
            The error of ``centre``. It changes the quotient at a distance d by at most
            ``error/(d − error)`` of the range of the slopes.
        """
        whole = self.on(low, high)
        width = whole[1] - whole[0]
        least, most = self.on(centre - near, centre + near)
        for end in (low, high, *(torch.full_like(low, point) for point in self.breaks)):
            z = torch.minimum(torch.maximum(end, low), high)
            slope = self._mean_slope(torch.minimum(z, centre), torch.maximum(z, centre))
            distance = (z - centre).abs()
            room = (_CHORD_ROUNDING + 2 * error / distance) * width
            is_far = distance > near
            least = torch.where(is_far, torch.minimum(least, slope - room), least)
            most = torch.where(is_far, torch.maximum(most, slope + room), most)
        return torch.maximum(least, whole[0]), torch.minimum(most, whole[1])

    def _mean_slope(self, start: Tensor, stop: Tensor) -> Tensor:
        total = torch.zeros_like(start)
        ends = [-math.inf, *self.breaks, math.inf]
        for left, right, slope in zip(ends, ends[1:], self.slopes, strict=False):
            total += slope * (stop.clamp(max=right) - start.clamp(min=left)).clamp_min(0.0)
        return total / (stop - start)


@dataclass(frozen=True)
class Smooth:
    """A function by its derivative and the points where the derivative has its extrema."""

    derivative: Callable[[Tensor], Tensor]
    extrema: Sequence[float]

    def on(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Return the range of the derivative on ``[low, high]``."""
        points = [low, high]
        points += [torch.full_like(low, point).clamp(low, high) for point in self.extrema]
        values = torch.stack([self.derivative(point) for point in points])
        return values.amin(dim=0) - _ROUNDING, values.amax(dim=0) + _ROUNDING


Ranges = Pieces | Smooth
# returns an option of a call, given its place after the tensor, its name and its default
Option = Callable[[int, str, Any], Any]


def slope_ranges(graph: Graph, node: Node) -> Ranges | None:
    """Return the ranges of an elementwise operation; None if only its global range is known."""
    if node.op == "call_module":
        layer: Any = graph.layer(node)
        for kind, name in _MODULES.items():
            if type(layer) is kind:
                return _RANGES[name](lambda _place, key, default: getattr(layer, key, default))
        return None
    name = torch_name(node.target)
    args, options = graph.value_of((node.args, node.kwargs))
    if name not in _RANGES or not isinstance(args[0], Tensor):
        return None

    def option(place: int, key: str, default: Any) -> Any:
        return args[place + 1] if place + 1 < len(args) else options.get(key, default)

    return _RANGES[name](option)


def _leaky(option: Option) -> Ranges:
    return Pieces([0.0], [option(0, "negative_slope", 0.01), 1.0])


def _clamp(low: float | None, high: float | None) -> Ranges | None:
    ends = [end for end in (low, high) if end is not None]
    if not all(isinstance(end, int | float) for end in ends):
        return None
    slopes = [*([0.0] if low is not None else []), 1.0, *([0.0] if high is not None else [])]
    return Pieces(ends, slopes) if ends == sorted(ends) else None


def _sech2(x: Tensor) -> Tensor:
    return 1 - torch.tanh(x) ** 2


def _sigmoid(x: Tensor) -> Tensor:
    return torch.sigmoid(x) * torch.sigmoid(-x)


def _silu(x: Tensor) -> Tensor:
    return torch.sigmoid(x) * (1 + x * torch.sigmoid(-x))


def _gelu(x: Tensor) -> Tensor:
    density = torch.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return torch.special.ndtr(x) + x * density


def _softplus(option: Option) -> Ranges:
    beta = option(0, "beta", 1.0)
    return Smooth(lambda x: torch.sigmoid(beta * x), ())


_RANGES: dict[str, Callable[[Option], Ranges | None]] = {
    "relu": lambda _: Pieces([0.0], [0.0, 1.0]),
    "relu6": lambda _: Pieces([0.0, 6.0], [0.0, 1.0, 0.0]),
    "abs": lambda _: Pieces([0.0], [-1.0, 1.0]),
    "leaky_relu": _leaky,
    "hardtanh": lambda option: _clamp(option(0, "min_val", -1.0), option(1, "max_val", 1.0)),
    "clamp": lambda option: _clamp(option(0, "min", None), option(1, "max", None)),
    "tanh": lambda _: Smooth(_sech2, (0.0,)),
    "sigmoid": lambda _: Smooth(_sigmoid, (0.0,)),
    "logsigmoid": lambda _: Smooth(lambda x: torch.sigmoid(-x), ()),
    "softplus": _softplus,
    "softsign": lambda _: Smooth(lambda x: (1 + x.abs()) ** -2.0, (0.0,)),
    "atan": lambda _: Smooth(lambda x: 1 / (1 + x**2), (0.0,)),
    "silu": lambda _: Smooth(_silu, (-2.399357280520467, 0.0, 2.399357280520467)),
    "gelu": lambda option: (
        None
        if option(0, "approximate", "none") != "none"
        else Smooth(_gelu, (-math.sqrt(2.0), 0.0, math.sqrt(2.0)))
    ),
}
_MODULES: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.LeakyReLU: "leaky_relu",
    nn.Hardtanh: "hardtanh",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
    nn.LogSigmoid: "logsigmoid",
    nn.Softplus: "softplus",
    nn.Softsign: "softsign",
    nn.SiLU: "silu",
    nn.GELU: "gelu",
}
