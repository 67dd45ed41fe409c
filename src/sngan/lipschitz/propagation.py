"""Propagation of Lipschitz constants through a network, from its input to its output."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sngan.lipschitz.constants import LipschitzConstant, unbounded
from sngan.lipschitz.progress import ProgressReport, no_progress
from sngan.lipschitz.registry import registered_constant, registered_rule
from sngan.lipschitz.rounding import hypot_up, multiply_up, sum_up
from sngan.lipschitz.rules.calls import FunctionCall
from sngan.lipschitz.rules.combining import Branch, Combination, combination_of, nodes_in
from sngan.lipschitz.rules.functions import PRODUCTS, function_constant, torch_name
from sngan.lipschitz.rules.modules import ATTENTION, ATTENTION_LAYERS, module_constant
from sngan.lipschitz.tracing.graph import Graph, Node


@dataclass(frozen=True)
class CumulativeConstant:
    """The constant of a value as a function of the input, and the elasticity of each operation.

    The elasticity of an operation is ``∂ log constant / ∂ log sigma``. It is 1 in a chain; in a sum
    it is the part that its branch contributes.
    """

    constant: float
    elasticities: Mapping[Node, float]


@dataclass(frozen=True)
class Propagation:
    """The constants of a network's operations and values.

    Attributes
    ----------
    local
        The constant of each operation that has one input, relative to this input.
    sources
        The input of each of these operations.
    cumulative
        The constant of every value relative to the network's input, in the order in which the
        operations run. The first is the input itself.
    combinations
        The branches of each operation that combines some.
    output
        The cumulative constant of the network's output.
    """

    local: dict[Node, LipschitzConstant]
    sources: dict[Node, Node]
    combinations: dict[Node, Combination]
    cumulative: dict[Node, float]
    output: CumulativeConstant


def propagate(
    graph: Graph,
    *,
    train_mode: frozenset[str],
    known: Mapping[Node, LipschitzConstant] | None = None,
    report: ProgressReport = no_progress,
) -> Propagation:
    """Compute the cumulative constants of all values, from the input to the output.

    Parameters
    ----------
    graph
        The recorded network.
    train_mode
        The paths of the submodules that were in train mode in the module that the user gave.
    known
        Constants of operations that need no rule.
    report
        A function that gets the number of operations that are done.
    """
    known = known or {}
    reached: dict[Node, CumulativeConstant] = {}
    local: dict[Node, LipschitzConstant] = {}
    inputs: dict[Node, Node] = {}
    combinations: dict[Node, Combination] = {}
    nodes = graph.nodes
    for place, node in enumerate(nodes):
        report("upper bound", place + 1, len(nodes))
        if node.op == "placeholder":
            reached[node] = CumulativeConstant(1.0, {})
            continue
        combination = _combination(graph, node, reached)
        if combination is not None:
            combinations[node] = combination
            reached[node] = _combine(combination, reached)
            continue
        # every recorded operation depends on the input
        sources = nodes_in((node.args, node.kwargs))
        local[node] = known.get(node) or _refuse_nan(
            _operation_constant(graph, node, sources, train_mode)
        )
        reached[node] = _compose(node, local[node], reached[sources[0]])
        inputs[node] = sources[0]
    cumulative = {node: found.constant for node, found in reached.items()}
    return Propagation(local, inputs, combinations, cumulative, reached[nodes[-1]])


def _combination(
    graph: Graph, node: Node, reached: Mapping[Node, CumulativeConstant]
) -> Combination | None:
    if node.op == "output":
        return Combination([Branch(source, 1.0) for source in nodes_in(node.args)])
    name = torch_name(node.target) if node.op == "call_function" else ""
    return combination_of(name, node, values=graph.value_of, dependent=reached)


def _refuse_nan(constant: LipschitzConstant) -> LipschitzConstant:
    if math.isnan(constant.sigma):
        return unbounded("its constant is not a number: its parameters or buffers are not finite")
    return constant


def _operation_constant(
    graph: Graph, node: Node, sources: Sequence[Node], train_mode: frozenset[str]
) -> LipschitzConstant:
    """Return the constant of an operation that combines no branches."""
    # in x·x the same tensor enters twice
    is_unary = len(sources) == 1 and len(node.args) > 0 and node.args[0] is sources[0]
    shape = _shape(graph.values[sources[0]])
    if node.op == "call_module":
        layer, path = graph.layer(node), graph.path(node)
        if not is_unary and not isinstance(layer, ATTENTION_LAYERS):
            return unbounded("several of its arguments depend on the network's input")
        return module_constant(
            layer,
            shape,
            result=_shape(graph.values[node]),
            has_options=len(node.args) + len(node.kwargs) > 1,
            batch_dims=graph.batch_dims,
            in_train_mode=path in train_mode,
        )
    rule, name = registered_rule(node.target), torch_name(node.target)
    if rule is not None and is_unary:
        return registered_constant(node.target, rule, shape[graph.batch_dims :])
    if name == "scaled_dot_product_attention":
        return unbounded(ATTENTION)
    is_second = len(sources) == 1 and len(node.args) == 2 and node.args[1] is sources[0]
    if is_unary or is_second:
        return function_constant(_call(graph, node, name, is_second=is_second))
    if name in PRODUCTS and len(sources) > 1:
        return unbounded("it multiplies tensors that both depend on the network's input")
    return unbounded("no known constant where these arguments depend on the network's input")


def _combine(
    combination: Combination, reached: Mapping[Node, CumulativeConstant]
) -> CumulativeConstant:
    """Return ``Σ L`` over the branches of a sum, ``√(Σ L²)`` for a concatenation or a choice."""
    branches = combination.branches
    parts = [multiply_up(branch.gain, reached[branch.source].constant) for branch in branches]
    constant = sum_up(parts) if combination.is_sum else hypot_up(parts)
    elasticities: dict[Node, float] = {}
    if 0.0 < constant < math.inf:
        for branch, part in zip(branches, parts, strict=True):
            share = part / constant if combination.is_sum else (part / constant) ** 2
            for node, value in reached[branch.source].elasticities.items():
                elasticities[node] = elasticities.get(node, 0.0) + share * value
    return CumulativeConstant(constant, elasticities)


def _compose(
    node: Node, constant: LipschitzConstant, before: CumulativeConstant
) -> CumulativeConstant:
    elasticities = {**before.elasticities, node: before.elasticities.get(node, 0.0) + 1.0}
    return CumulativeConstant(multiply_up(before.constant, constant.sigma), elasticities)


def _call(graph: Graph, node: Node, name: str, *, is_second: bool) -> FunctionCall:
    args = node.args[::-1] if is_second else node.args
    values, options = graph.value_of((args, node.kwargs))
    return FunctionCall(
        name=name,
        function=node.target,
        args=values,
        kwargs=options,
        result=graph.values[node],
        is_second=is_second,
    )


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor) else ()
