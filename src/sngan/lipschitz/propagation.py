"""The walk through a network that accumulates its constant, relative to the network's input."""

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
    """A value's constant relative to the network's input, and what it is made of.

    The elasticity of an operation is ``∂ log constant / ∂ log sigma``: 1 in a chain, and in sums
    the part that its branch contributes.
    """

    constant: float
    elasticities: Mapping[Node, float]


@dataclass(frozen=True)
class Propagation:
    """The operations of one input that the output depends on: their factors and inputs.

    ``constants`` has all of them and the input itself, in the order in which they run, each with
    its constant relative to the network's input.
    """

    local: dict[Node, LipschitzConstant]
    sources: dict[Node, Node]
    cumulative: dict[Node, float]
    output: CumulativeConstant


def propagate(
    graph: Graph,
    *,
    train_mode: frozenset[str],
    known: Mapping[Node, LipschitzConstant] | None = None,
    report: ProgressReport = no_progress,
) -> Propagation:
    """Accumulate constants from the input to the output.

    ``train_mode`` holds the paths of the submodules that were given in train mode; ``known`` has
    factors that need no rule.
    """
    known = known or {}
    reached: dict[Node, CumulativeConstant] = {}
    local: dict[Node, LipschitzConstant] = {}
    inputs: dict[Node, Node] = {}
    nodes = graph.nodes
    for place, node in enumerate(nodes):
        report("upper bound", place + 1, len(nodes))
        if node.op == "placeholder":
            reached[node] = CumulativeConstant(1.0, {})
            continue
        combination = _combination(graph, node, reached)
        if combination is not None:
            reached[node] = _combine(combination, reached)
            continue
        # every recorded operation depends on the input
        sources = nodes_in((node.args, node.kwargs))
        local[node] = known.get(node) or _refuse_nan(
            _operation_constant(graph, node, sources, train_mode)
        )
        reached[node] = _compose(node, local[node], reached[sources[0]])
        inputs[node] = sources[0]
    cumulative = {node: before.constant for node, before in reached.items()}
    return Propagation(local, inputs, cumulative, reached[nodes[-1]])


def _combination(
    graph: Graph, node: Node, reached: Mapping[Node, CumulativeConstant]
) -> Combination | None:
    if node.op == "output":
        return Combination([Branch(source, 1.0) for source in nodes_in(node.args)])
    name = torch_name(node.target) if node.op == "call_function" else ""
    return combination_of(name, node, graph.value_of, reached)


def _refuse_nan(constant: LipschitzConstant) -> LipschitzConstant:
    if math.isnan(constant.sigma):
        return unbounded("its constant is not a number: its parameters or buffers are not finite")
    return constant


def _operation_constant(
    graph: Graph, node: Node, sources: Sequence[Node], train_mode: frozenset[str]
) -> LipschitzConstant:
    """The factor of an operation that is no combination of branches."""
    # the same tensor may enter twice, as in x·x
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
    """``Σ L`` of a sum's branches, ``√(Σ L²)`` of those of a concatenation or a choice."""
    sizes = [multiply_up(term.size, reached[term.source].constant) for term in combination.terms]
    constant = sum_up(sizes) if combination.is_sum else hypot_up(sizes)
    elasticities: dict[Node, float] = {}
    if 0.0 < constant < math.inf:
        for term, size in zip(combination.terms, sizes, strict=True):
            part = size / constant if combination.is_sum else (size / constant) ** 2
            for node, value in reached[term.source].elasticities.items():
                elasticities[node] = elasticities.get(node, 0.0) + part * value
    return CumulativeConstant(constant, elasticities)


def _compose(
    node: Node, constant: LipschitzConstant, before: CumulativeConstant
) -> CumulativeConstant:
    elasticities = {
        **before.elasticities,
        node: before.elasticities.get(node, 0.0) + 1.0,
    }
    return CumulativeConstant(multiply_up(before.constant, constant.sigma), elasticities)


def _call(graph: Graph, node: Node, name: str, *, is_second: bool) -> FunctionCall:
    args = node.args[::-1] if is_second else node.args
    values, options = graph.value_of((args, node.kwargs))
    return FunctionCall(name, node.target, values, options, graph.values[node], is_second)


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor) else ()
