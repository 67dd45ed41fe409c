"""The walk through a network that accumulates its constant, relative to the network's input."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx

from sngan.lipschitz.factor import Factor, hypotenuse, plus, times, unbounded
from sngan.lipschitz.functions import (
    COMBINING,
    PRODUCTS,
    STACKING,
    Call,
    call_factor,
    name_of,
    spread,
)
from sngan.lipschitz.graph import Graph, Node, tensors_in
from sngan.lipschitz.modules import (
    ATTENTION,
    ATTENTION_LAYERS,
    module_factor,
    registered_factor,
    registered_function,
)

# what these give depends on a tensor's shape, not on its values
_OF_SHAPE = (
    *("size", "dim", "ndimension", "numel", "nelement", "stride", "element_size"),
    *("is_contiguous", "is_floating_point", "get_device"),
    *("zeros_like", "ones_like", "empty_like", "full_like"),
    *("new_zeros", "new_ones", "new_full", "new_empty"),
)
_ATTRIBUTES_OF_SHAPE = ("shape", "ndim", "device", "dtype", "is_cuda", "requires_grad", "layout")


@dataclass(frozen=True)
class Flow:
    """A value's constant relative to the network's input, and what it is made of.

    The elasticity of an operation is ``∂ log constant / ∂ log sigma``: 1 in a chain, and in sums
    the part that its branch contributes.
    """

    constant: float
    elasticities: Mapping[Node, float]


@dataclass(frozen=True)
class Term:
    """A branch that enters a sum or a concatenation, and the factor that it gets there."""

    source: Node
    size: float


@dataclass(frozen=True)
class Walk:
    """The operations of one input that the output depends on: their factors and inputs."""

    factors: dict[Node, Factor]
    sources: dict[Node, Node]
    output: Flow


def walk(
    graph: Graph, *, train_mode: frozenset[str], known: Mapping[Node, Factor] | None = None
) -> Walk:
    """Accumulate constants from the input to the output.

    ``train_mode`` holds the paths of the submodules that were given in train mode; ``known`` has
    factors that need no rule.
    """
    known = known or {}
    flows: dict[Node, Flow] = {}
    factors: dict[Node, Factor] = {}
    inputs: dict[Node, Node] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            flows[node] = Flow(1.0, {})
            continue
        sources = [s for s in _occurrences((node.args, node.kwargs)) if s in flows]
        if not sources or _says_shape(node):
            continue
        terms = _terms(graph, node, flows)
        if terms is not None:
            flows[node] = _combined(terms, flows, is_sum=name_of(node.target) in ("add", "sub"))
        else:
            factors[node] = known.get(node) or _factor(graph, node, sources, train_mode)
            flows[node] = _passed(node, factors[node], flows[sources[0]])
            inputs[node] = sources[0]
    last = graph.nodes[-1]
    reached = _ancestors(last)
    used = {node: factor for node, factor in factors.items() if node in reached}
    return Walk(used, inputs, flows.get(last, Flow(0.0, {})))


def unsafe_mutation(graph: Graph, walked: Walk) -> Node | None:
    """The first operation that changes in place a tensor which is read again under another name.

    The graph shows the tensor as it was. An elementwise contraction is harmless: what is read
    then has at most the constant that the walk gave it.
    """
    position = {node: index for index, node in enumerate(graph.nodes)}
    for node, changed in graph.mutations.items():
        factor = walked.factors.get(node)
        if factor is not None and factor.slopes is not None and factor.sigma <= 1.0:
            continue
        storages = {_storage(tensor) for tensor in changed}
        after = _descendants(node)
        for other, value in graph.values.items():
            shares = any(_storage(tensor) in storages for tensor in tensors_in(value))
            if not shares or other is node or other in after:
                continue
            if any(position[user] > position[node] for user in other.users):
                return node
    return None


def _factor(
    graph: Graph, node: Node, sources: Sequence[Node], train_mode: frozenset[str]
) -> Factor:
    """The factor of an operation that is no combination of branches."""
    # the same tensor may enter twice, as in x·x
    is_unary = len(sources) == 1 and len(node.args) > 0 and node.args[0] is sources[0]
    if node.op == "call_module":
        layer, path = graph.layer(node), graph.path(node)
        if not is_unary and not isinstance(layer, ATTENTION_LAYERS):
            return unbounded("several of its arguments depend on the network's input")
        shape = _shape(graph.values[sources[0]])
        return module_factor(layer, shape, in_train_mode=path in train_mode)
    rule, name = registered_function(node.target), name_of(node.target)
    if rule is not None and is_unary:
        return registered_factor(node.target, rule, _shape(graph.values[sources[0]]))
    if name == "scaled_dot_product_attention":
        return unbounded(ATTENTION)
    if name == "mul" and len(sources) == 1 and len(node.args) == 2:
        return call_factor(_call(graph, node, name, first=sources[0]))
    if is_unary:
        return call_factor(_call(graph, node, name))
    if name in PRODUCTS and len(sources) > 1:
        return unbounded("it multiplies tensors that both depend on the network's input")
    return unbounded("no known constant where these arguments depend on the network's input")


def _terms(graph: Graph, node: Node, flows: Mapping[Node, Flow]) -> list[Term] | None:
    """The branches that enter a sum, a concatenation or an elementwise maximum; else None."""
    name, result = name_of(node.target), graph.values[node]
    if node.op == "output":
        return [Term(source, 1.0) for source in _occurrences(node.args) if source in flows]
    is_pair = len(node.args) == 2 and isinstance(graph.value_of(node.args[1]), Tensor)
    if name not in COMBINING or not isinstance(result, Tensor) or not result.is_floating_point():
        return None
    if name in ("max", "min") and not is_pair:
        return None
    if name in STACKING:
        parts = [source for source in _occurrences(node.args) if source in flows]
        return [Term(source, 1.0) for source in parts]
    alpha = node.kwargs.get("alpha", 1.0)
    if len(node.args) != 2 or set(node.kwargs) - {"alpha"} or not isinstance(alpha, int | float):
        return None
    sizes = (1.0, abs(float(alpha)))
    return [
        Term(source, times(size, spread(graph.values[source], result)))
        for source, size in zip(node.args, sizes, strict=True)
        if isinstance(source, Node) and source in flows
    ]


def _combined(terms: Sequence[Term], flows: Mapping[Node, Flow], *, is_sum: bool) -> Flow:
    """``Σ L`` of a sum's branches, ``√(Σ L²)`` of those of a concatenation or a maximum."""
    sizes = [times(term.size, flows[term.source].constant) for term in terms]
    constant = plus(sizes) if is_sum else hypotenuse(sizes)
    elasticities: dict[Node, float] = {}
    if 0.0 < constant < math.inf:
        for term, size in zip(terms, sizes, strict=True):
            part = size / constant if is_sum else (size / constant) ** 2
            for node, value in flows[term.source].elasticities.items():
                elasticities[node] = elasticities.get(node, 0.0) + part * value
    return Flow(constant, elasticities)


def _passed(node: Node, factor: Factor, flow: Flow) -> Flow:
    elasticities = {**flow.elasticities, node: flow.elasticities.get(node, 0.0) + 1.0}
    return Flow(times(flow.constant, factor.sigma), elasticities)


def _call(graph: Graph, node: Node, name: str, *, first: Node | None = None) -> Call:
    args = list(node.args)
    if first is not None and args[0] is not first:
        args.reverse()
    values, options = graph.value_of((tuple(args), node.kwargs))
    return Call(name, values, options, graph.values[node])


def _says_shape(node: Node) -> bool:
    if node.op == "call_function" and node.target is getattr:
        return node.args[1] in _ATTRIBUTES_OF_SHAPE
    name = node.target if node.op == "call_method" else getattr(node.target, "__name__", "")
    return name in _OF_SHAPE


def _occurrences(arguments: Any) -> list[Node]:
    found: list[Node] = []
    fx.map_arg(arguments, lambda node: found.append(node))
    return found


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.shape[1:]) if isinstance(value, Tensor) else ()


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _ancestors(node: Node) -> set[Node]:
    return _reachable(node, lambda n: n.all_input_nodes)


def _descendants(node: Node) -> set[Node]:
    return _reachable(node, lambda n: n.users)


def _reachable(start: Node, neighbours: Callable[[Node], Iterable[Node]]) -> set[Node]:
    found, waiting = {start}, [start]
    while waiting:
        for other in neighbours(waiting.pop()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found
