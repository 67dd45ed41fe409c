r"""Magnitudes: the linear operations of a network with the absolute values of their weights.

In an operation ``Ax + b``, the terms of a sum may be far larger than the sum. Its rounding error is
at most ``γ_n(|A||x| + |b|)`` with ``γ_n = nu/(1 − nu)`` for n terms, and errors e of its input
become at most ``|A|e`` (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sngan.lipschitz.propagation import Propagation
from sngan.lipschitz.rules.functions import torch_name
from sngan.lipschitz.rules.modules import has_plain_weights
from sngan.lipschitz.structures import map_structure, tensors_in
from sngan.lipschitz.tracing.float64 import Float64Mode
from sngan.lipschitz.tracing.graph import Graph, Node

_UNIT = 2.0**-53
# roundings of an element beside those of its sum
_MORE_TERMS = 8
_SUMS = ("add", "sub", "rsub")
# the names and places of arguments of torch's functions that are added; a mean is subtracted
_ADDED: dict[str, dict[int | str, float]] = {
    "linear": {2: 1.0, "bias": 1.0},
    **{f"conv{kind}{d}d": {2: 1.0, "bias": 1.0} for kind in ("", "_transpose") for d in (1, 2, 3)},
    "batch_norm": {1: -1.0, 4: 1.0, "running_mean": -1.0, "bias": 1.0},
}

Values = Mapping[Node, Any]
_Change = Callable[[Any], Any]


def relative_rounding(terms: int) -> float:
    """Return a bound of ``γ_n`` for a sum of n terms and some more operations, in float64."""
    return 1.001 * (terms + _MORE_TERMS) * _UNIT


class Magnitudes:
    """The maps ``t → |A|t`` of the linear operations of a network, and their numbers ``|b|``."""

    def __init__(self, graph: Graph, propagation: Propagation) -> None:
        self.graph, self.propagation = graph, propagation

    def spread(self, node: Node, sizes: Values) -> Any:
        """Return at least ``|A|t``, for numbers t ≥ 0 in place of the values that A reads.

        The result is linear in t.
        """
        constant = self.propagation.local.get(node)
        if constant is not None and not self._has_absolute_map(node):
            size = sizes[self.propagation.sources[node]]
            if constant.slopes is not None:
                return constant.sigma * size
            # no element of |A|t is above ‖A‖‖t‖
            return torch.ones_like(self.graph.values[node]) * (constant.sigma * size.sum())
        nothing = {source: map_structure(sizes[source], _zero) for source in node.all_input_nodes}
        # both have the constants that an operation inserts, such as padding
        return _combined(_distance, self._run(node, sizes, _zero), self._run(node, nothing, _zero))

    def terms(self, node: Node) -> int:
        """Return a bound of the number of terms in an element of the result."""
        sources = [self.graph.values[source] for source in node.all_input_nodes]
        return _MORE_TERMS + sum(part.numel() for part in tensors_in(sources))

    def errors(
        self, nodes: Sequence[Node], values: Values, exact: Collection[Node]
    ) -> dict[Node, Any]:
        """Return bounds of the errors of values that linear operations compute from exact ones.

        Parameters
        ----------
        nodes
            The linear operations in the order in which they run.
        values
            The computed values of all nodes.
        exact
            The nodes whose values count as exact.
        """
        sizes = {node: map_structure(value, _absolute) for node, value in values.items()}
        found: dict[Node, Any] = {node: map_structure(values[node], _zero) for node in exact}
        for node in nodes:
            terms = _combined(torch.add, self.spread(node, sizes), self._offset(node))
            share = relative_rounding(self.terms(node))
            own = map_structure(terms, lambda part, share=share: share * part)
            found[node] = _combined(torch.add, self.spread(node, found), own)
        return found

    def _offset(self, node: Node) -> Any:
        """Return the sizes of the numbers that an operation adds; constants that it inserts too."""
        values = self.graph.values
        nothing = {source: map_structure(values[source], _zero) for source in node.all_input_nodes}
        if self._has_absolute_map(node):
            return map_structure(self._run(node, nothing, _absolute), _finite)
        return map_structure(self.graph.run([node], nothing)[node], _finite)

    def _has_absolute_map(self, node: Node) -> bool:
        """Whether the operation with absolute weights maps t to ``|A|t``."""
        constant = self.propagation.local.get(node)
        if constant is not None and not constant.affine:
            return False
        if node.op == "call_module":
            return has_plain_weights(self.graph.layer(node))
        # the weights of bicubic interpolation have both signs
        return "bicubic" not in (*node.args, *node.kwargs.values())

    def _run(self, node: Node, sizes: Values, added: _Change) -> Any:
        """Run an operation on sizes, with the absolute weights, and ``added`` of what it adds."""
        given = (list(node.args), dict(node.kwargs))
        args, options = map_structure(
            given, lambda part: sizes[part] if isinstance(part, Node) else _absolute(part)
        )
        if node.op == "output":
            return args[0]
        name = torch_name(node.target) if node.op == "call_function" else ""
        with Float64Mode():
            if node.op == "call_module":
                layer = self.graph.layer(node)
                return functional_call(layer, _weights(layer, added), tuple(args), options)
            if name in _SUMS:
                return _sum_of(name, node, args, options=options, added=added)
            for place, sign in _ADDED.get(name, {}).items():
                owner: Any = options if isinstance(place, str) else args
                if place in options or (isinstance(place, int) and place < len(args)):
                    owner[place] = map_structure(
                        owner[place], lambda part, sign=sign: _times(sign, added(part))
                    )
        return self.graph.call(node, tuple(args), options)


def _weights(layer: nn.Module, added: _Change) -> dict[str, Tensor]:
    changes: dict[str, _Change] = {"weight": _absolute, "bias": added, "running_mean": added}
    found: dict[str, Tensor] = {}
    for name, change in changes.items():
        part = getattr(layer, name, None)
        if isinstance(part, Tensor):
            changed = change(part.detach())
            # a mean is subtracted
            found[name] = -changed if name == "running_mean" else changed
    return found


def _sum_of(
    name: str, node: Node, args: list[Any], *, options: dict[str, Any], added: _Change
) -> Any:
    """Return the sum of absolute values for a sum or a difference."""
    parts = [
        part if isinstance(given, Node) else added(part)
        for part, given in zip(args, node.args, strict=True)
    ]
    alpha = abs(options.get("alpha", 1.0))
    return alpha * parts[0] + parts[1] if name == "rsub" else parts[0] + alpha * parts[1]


def _combined(function: Callable[[Tensor, Tensor], Tensor], first: Any, second: Any) -> Any:
    """Apply a function to each tensor of one structure and the same one of another."""
    if isinstance(first, tuple | list):
        return tuple(_combined(function, a, b) for a, b in zip(first, second, strict=True))  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
    return function(first, second)


def _distance(first: Tensor, second: Tensor) -> Tensor:
    # ∞ − ∞ is a constant of the operation
    return (first - second).abs().nan_to_num(nan=0.0, posinf=torch.inf)


def _is_real(part: Any) -> bool:
    return isinstance(part, Tensor) and part.is_floating_point()


def _absolute(part: Any) -> Any:
    is_number = isinstance(part, float) or _is_real(part)
    return abs(part) if is_number else part


def _zero(part: Any) -> Any:
    if _is_real(part):
        return torch.zeros_like(part)
    return part * 0 if isinstance(part, int | float) else part


def _times(sign: float, part: Any) -> Any:
    return sign * part if isinstance(part, int | float) or _is_real(part) else part


def _finite(part: Any) -> Any:
    return part.abs().nan_to_num(0.0, 0.0, 0.0) if _is_real(part) else part
