"""The walk through a network that accumulates its constant, relative to the network's input."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sngan.lipschitz.constants import Factor, hypotenuse, plus, times, unbounded
from sngan.lipschitz.progress import Report, silent
from sngan.lipschitz.registry import registered_factor, registered_rule
from sngan.lipschitz.rules.calls import Call
from sngan.lipschitz.rules.combining import Combination, Term, combination, nodes_in
from sngan.lipschitz.rules.functions import PRODUCTS, call_factor, name_of
from sngan.lipschitz.rules.modules import ATTENTION, ATTENTION_LAYERS, module_factor
from sngan.lipschitz.tracing.graph import Graph, Node


@dataclass(frozen=True)
class Flow:
    """A value's constant relative to the network's input, and what it is made of.

    The elasticity of an operation is ``∂ log constant / ∂ log sigma``: 1 in a chain, and in sums
    the part that its branch contributes.
    """

    constant: float
    elasticities: Mapping[Node, float]


@dataclass(frozen=True)
class Walk:
    """The operations of one input that the output depends on: their factors and inputs.

    ``constants`` has all of them and the input itself, in the order in which they run, each with
    its constant relative to the network's input.
    """

    factors: dict[Node, Factor]
    sources: dict[Node, Node]
    constants: dict[Node, float]
    output: Flow


def walk(
    graph: Graph,
    *,
    train_mode: frozenset[str],
    known: Mapping[Node, Factor] | None = None,
    report: Report = silent,
) -> Walk:
    """Accumulate constants from the input to the output.

    ``train_mode`` holds the paths of the submodules that were given in train mode; ``known`` has
    factors that need no rule.
    """
    known = known or {}
    flows: dict[Node, Flow] = {}
    factors: dict[Node, Factor] = {}
    inputs: dict[Node, Node] = {}
    nodes = graph.nodes
    for place, node in enumerate(nodes):
        report("upper bound", place + 1, len(nodes))
        if node.op == "placeholder":
            flows[node] = Flow(1.0, {})
            continue
        combined = _combination(graph, node, flows)
        if combined is not None:
            flows[node] = _combined(combined, flows)
            continue
        # every recorded operation depends on the input
        sources = nodes_in((node.args, node.kwargs))
        factors[node] = known.get(node) or _checked(_factor(graph, node, sources, train_mode))
        flows[node] = _passed(node, factors[node], flows[sources[0]])
        inputs[node] = sources[0]
    constants = {node: flow.constant for node, flow in flows.items()}
    return Walk(factors, inputs, constants, flows[nodes[-1]])


def _combination(graph: Graph, node: Node, flows: Mapping[Node, Flow]) -> Combination | None:
    if node.op == "output":
        return Combination([Term(source, 1.0) for source in nodes_in(node.args)])
    name = name_of(node.target) if node.op == "call_function" else ""
    return combination(name, node, graph.value_of, flows)


def _checked(factor: Factor) -> Factor:
    if math.isnan(factor.sigma):
        return unbounded("its constant is not a number: its parameters or buffers are not finite")
    return factor


def _factor(
    graph: Graph, node: Node, sources: Sequence[Node], train_mode: frozenset[str]
) -> Factor:
    """The factor of an operation that is no combination of branches."""
    # the same tensor may enter twice, as in x·x
    is_unary = len(sources) == 1 and len(node.args) > 0 and node.args[0] is sources[0]
    shape = _shape(graph.values[sources[0]])
    if node.op == "call_module":
        layer, path = graph.layer(node), graph.path(node)
        if not is_unary and not isinstance(layer, ATTENTION_LAYERS):
            return unbounded("several of its arguments depend on the network's input")
        return module_factor(
            layer,
            shape,
            result=_shape(graph.values[node]),
            has_options=len(node.args) + len(node.kwargs) > 1,
            batch_dims=graph.batch_dims,
            in_train_mode=path in train_mode,
        )
    rule, name = registered_rule(node.target), name_of(node.target)
    if rule is not None and is_unary:
        return registered_factor(node.target, rule, shape[graph.batch_dims :])
    if name == "scaled_dot_product_attention":
        return unbounded(ATTENTION)
    is_second = len(sources) == 1 and len(node.args) == 2 and node.args[1] is sources[0]
    if is_unary or is_second:
        return call_factor(_call(graph, node, name, is_second=is_second))
    if name in PRODUCTS and len(sources) > 1:
        return unbounded("it multiplies tensors that both depend on the network's input")
    return unbounded("no known constant where these arguments depend on the network's input")


def _combined(combined: Combination, flows: Mapping[Node, Flow]) -> Flow:
    """``Σ L`` of a sum's branches, ``√(Σ L²)`` of those of a concatenation or a choice."""
    sizes = [times(term.size, flows[term.source].constant) for term in combined.terms]
    constant = plus(sizes) if combined.is_sum else hypotenuse(sizes)
    elasticities: dict[Node, float] = {}
    if 0.0 < constant < math.inf:
        for term, size in zip(combined.terms, sizes, strict=True):
            part = size / constant if combined.is_sum else (size / constant) ** 2
            for node, value in flows[term.source].elasticities.items():
                elasticities[node] = elasticities.get(node, 0.0) + part * value
    return Flow(constant, elasticities)


def _passed(node: Node, factor: Factor, flow: Flow) -> Flow:
    elasticities = {**flow.elasticities, node: flow.elasticities.get(node, 0.0) + 1.0}
    return Flow(times(flow.constant, factor.sigma), elasticities)


def _call(graph: Graph, node: Node, name: str, *, is_second: bool) -> Call:
    args = node.args[::-1] if is_second else node.args
    values, options = graph.value_of((args, node.kwargs))
    return Call(name, node.target, values, options, graph.values[node], is_second)


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor) else ()
