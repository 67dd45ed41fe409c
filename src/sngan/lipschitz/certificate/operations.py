"""Operations of a network with their constants, and the exact check of the product bound."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from sngan.lipschitz.naming import operation_kind, operation_name
from sngan.lipschitz.propagation import Propagation
from sngan.lipschitz.tracing.graph import Graph

Rule = Literal["input", "operation", "sum", "squares"]


@dataclass(frozen=True)
class Operation:
    """One operation, and the constant of its value as a function of the network's input.

    Attributes
    ----------
    name, kind, method
        As in ``LayerBound``.
    rule
        How ``constant`` follows: ``input`` (it is 1), ``operation`` (sigma times the constant of
        its only input), ``sum`` (``Σ gain·constant`` over the inputs) or ``squares``
        (``√(Σ (gain·constant)²)``).
    inputs
        The places of the operations that it reads.
    gains
        A number for each input of a sum or of squares.
    sigma
        The constant of an ``operation`` for its own input; else 1.
    slopes
        The range of the derivative of an elementwise function.
    constant
        The constant of its value.
    """

    name: str
    kind: str
    rule: Rule
    inputs: tuple[int, ...]
    gains: tuple[float, ...]
    sigma: float
    method: str
    slopes: tuple[float, ...]
    constant: float


def operations_of(graph: Graph, propagation: Propagation) -> list[Operation]:
    """Return the operations in the order in which they run; the last one is the output."""
    places = {node: place for place, node in enumerate(propagation.cumulative)}
    found: list[Operation] = []
    for node, constant in propagation.cumulative.items():
        local = propagation.local.get(node)
        combination = propagation.combinations.get(node)
        if local is not None:
            rule, inputs, gains = "operation", (places[propagation.sources[node]],), ()
        elif combination is not None:
            rule = "sum" if combination.is_sum else "squares"
            inputs = tuple(places[branch.source] for branch in combination.branches)
            gains = tuple(branch.gain for branch in combination.branches)
        else:
            rule, inputs, gains = "input", (), ()
        found.append(
            Operation(
                name=operation_name(graph, node),
                kind=operation_kind(graph, node),
                rule=rule,
                inputs=inputs,
                gains=gains,
                sigma=1.0 if local is None else local.sigma,
                method=rule if local is None else local.method,
                slopes=() if local is None or local.slopes is None else local.slopes,
                constant=constant,
            )
        )
    return found


def unproved_constant(operations: Sequence[Operation]) -> str | None:
    """Return the name of the first operation whose constant does not follow, or None.

    The arithmetic is exact: floats are fractions.
    """
    for place, operation in enumerate(operations):
        if not _follows(operation, operations[:place]):
            return operation.name
    return None


def _follows(operation: Operation, earlier: Sequence[Operation]) -> bool:
    numbers = (operation.sigma, operation.constant, *operation.gains)
    if not all(math.isfinite(n) and n >= 0.0 for n in numbers):
        return False
    if not all(0 <= place < len(earlier) for place in operation.inputs):
        return False
    constant = Fraction(operation.constant)
    before = [Fraction(earlier[place].constant) for place in operation.inputs]
    if operation.rule == "input":
        return constant >= 1 and not before
    if operation.rule == "operation":
        return len(before) == 1 and constant >= Fraction(operation.sigma) * before[0]
    if len(before) != len(operation.gains):
        return False
    parts = [Fraction(gain) * part for gain, part in zip(operation.gains, before, strict=True)]
    if operation.rule == "sum":
        return constant >= sum(parts)
    return operation.rule == "squares" and constant**2 >= sum(part**2 for part in parts)
