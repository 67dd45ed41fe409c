"""The certified upper bound: trace, walk, merge, and the tighter proof by slopes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sngan.lipschitz.aliases import UntraceableError
from sngan.lipschitz.factor import Factor
from sngan.lipschitz.graph import Graph, Node, computes, traced
from sngan.lipschitz.merging import affine_chains, merged_factors
from sngan.lipschitz.modules import class_of
from sngan.lipschitz.prepare import Prepared
from sngan.lipschitz.progress import Report, silent
from sngan.lipschitz.records import LayerBound
from sngan.lipschitz.registry import HOW_TO_REGISTER
from sngan.lipschitz.slopes import tightened
from sngan.lipschitz.walk import Walk, walk
from sngan.utils.text import class_and_line

_LARGEST_SPECTRUM = 1024
_NEAR_ONE = 1e-6
_OTHER_VALUES = (
    "its values are others than those of its recorded operations: they depend on more than these, "
    "as on chance, on earlier calls or on Python code that reads numbers"
)


@dataclass(frozen=True)
class Upper:
    """The upper bound, how it was proved, and what it is made of."""

    value: float
    method: str
    product: float
    layers: tuple[LayerBound, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()


def upper_bound(
    module: Prepared, *, slopes: str, train_mode: frozenset[str], report: Report = silent
) -> Upper:
    """Bound the prepared ``module`` from above."""
    for name, tensor in module.module.named_parameters():
        if not bool(tensor.isfinite().all()):
            return _refused(f"{name}: it holds numbers that are not finite")
    try:
        graph = traced(module)
    except UntraceableError as error:
        return _refused(_untraced(module, str(error)))
    except Exception as error:
        # the module's own code may raise anything where it meets what the tracer does
        return _refused(_untraced(module, class_and_line(error)))
    plain = walk(graph, train_mode=train_mode, report=report)
    walked = walk(graph, train_mode=train_mode, known=merged_factors(graph, plain))
    if math.isfinite(walked.output.constant) and not computes(graph, module):
        return _refused(_untraced(module, _OTHER_VALUES))
    product = walked.output.constant
    layers, reasons = _layers(graph, walked), _reasons(graph, walked)
    if slopes == "product" or not 0.0 < product < math.inf:
        return Upper(product, "product", product, layers, reasons)
    tighter = tightened(graph, plain, slopes, product=product)
    method = slopes if tighter.value < product else "product"
    notes = (tighter.note,) if tighter.note else ()
    return Upper(min(tighter.value, product), method, product, layers, reasons, notes)


def _untraced(module: Prepared, reason: str) -> str:
    return f"{type(module.module).__name__}: it cannot be traced: {reason}; {HOW_TO_REGISTER}"


def _refused(reason: str) -> Upper:
    return Upper(math.inf, "product", math.inf, (), (reason,))


def _layers(graph: Graph, walked: Walk) -> tuple[LayerBound, ...]:
    hidden = ("structure", "absorbed")
    shown = {node: f for node, f in walked.factors.items() if f.method not in hidden}
    shares = _shares(shown, walked)
    merged = _merged_names(graph, walked)
    return tuple(
        LayerBound(
            name=merged.get(node) or _name(graph, node),
            kind="affine chain" if node in merged else _kind(graph, node),
            sigma=factor.sigma,
            method=factor.method,
            share=shares[node],
            spectrum=factor.spectrum or _spectrum(graph, node),
        )
        for node, factor in shown.items()
    )


def _merged_names(graph: Graph, walked: Walk) -> dict[Node, str]:
    names: dict[Node, str] = {}
    for chain in affine_chains(graph, walked):
        absorbed = [node for node in chain if walked.factors[node].method == "absorbed"]
        if absorbed:
            end = next(node for node in chain if walked.factors[node].method == "merged")
            names[end] = " + ".join(_name(graph, node) for node in [*absorbed, end])
    return names


def _shares(shown: Mapping[Node, Factor], walked: Walk) -> dict[Node, float]:
    infinite = [node for node, factor in shown.items() if math.isinf(factor.sigma)]
    if infinite:
        return {node: 1 / len(infinite) if node in infinite else 0.0 for node in shown}
    weights = walked.output.elasticities
    parts = {node: weights.get(node, 0.0) * _logarithm(f.sigma) for node, f in shown.items()}
    total = sum(abs(part) for part in parts.values())
    # shares of a bound of 1 would be shares of rounding
    return {node: part / total if total > 1e-4 else 0.0 for node, part in parts.items()}


def _logarithm(sigma: float) -> float:
    """Zero where a bound differs from 1 only by its room for rounding."""
    return math.log(sigma) if sigma > 0.0 and abs(sigma - 1.0) > _NEAR_ONE else 0.0


def _reasons(graph: Graph, walked: Walk) -> tuple[str, ...]:
    if math.isfinite(walked.output.constant):
        return ()
    reasons = [
        f"{_name(graph, node)} ({_kind(graph, node)}): {factor.reason}"
        for node, factor in walked.factors.items()
        if math.isinf(factor.sigma)
    ]
    return tuple(reasons) or ("the product of the constants: float64 cannot hold it",)


def _name(graph: Graph, node: Node) -> str:
    if node.op != "call_module":
        return node.name
    path = graph.path(node) or _kind(graph, node).lower()
    earlier = [n for n in graph.nodes if n.op == "call_module" and n.target == node.target]
    call = earlier.index(node) + 1
    return path if call == 1 else f"{path} (call {call})"


def _kind(graph: Graph, node: Node) -> str:
    if node.op == "call_module":
        return class_of(graph.layer(node)).__name__
    return str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", "?")


@torch.no_grad()
def _spectrum(graph: Graph, node: Node) -> tuple[float, ...]:
    weight = getattr(graph.layer(node), "weight", None) if node.op == "call_module" else None
    if not isinstance(weight, Tensor) or weight.dim() < 2 or weight.numel() == 0:
        return ()
    matrix = weight.flatten(1)
    if min(matrix.shape) > _LARGEST_SPECTRUM:
        return ()
    return tuple(torch.linalg.svdvals(matrix).tolist())
