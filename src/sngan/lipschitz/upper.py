"""Upper bound of a network: trace, propagate constants, merge affine chains, bound by slopes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sngan.lipschitz.certificate.evidence import UpperEvidence, upper_evidence
from sngan.lipschitz.constants import LipschitzConstant
from sngan.lipschitz.local.domain import Domain
from sngan.lipschitz.local.upper import local_bound, norm_factor
from sngan.lipschitz.merging import affine_chains, merge_affine_chains
from sngan.lipschitz.naming import operation_kind, operation_name
from sngan.lipschitz.progress import ProgressReport, no_progress
from sngan.lipschitz.propagation import Propagation, propagate
from sngan.lipschitz.records import LayerBound
from sngan.lipschitz.registry import HOW_TO_REGISTER
from sngan.lipschitz.slopes.bound import bound_by_slopes
from sngan.lipschitz.tracing.errors import UntraceableError
from sngan.lipschitz.tracing.graph import Graph, Node, reproduces, trace
from sngan.lipschitz.tracing.prepare import PreparedModule
from sngan.utils.text import class_and_line

_LARGEST_SPECTRUM = 1024
_NEAR_ONE = 1e-6
_OTHER_VALUES = (
    "its outputs differ from those of its recorded operations, so they also depend on something "
    "else, such as chance, earlier calls or Python code that reads numbers"
)


@dataclass(frozen=True)
class UpperBound:
    """The upper bound, its proof, and the constants of the operations."""

    value: float
    method: str
    product: float
    layers: tuple[LayerBound, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()
    evidence: UpperEvidence | None = None
    inside: float = math.inf


def upper_bound(
    module: PreparedModule,
    *,
    slopes: str,
    train_mode: frozenset[str],
    domain: Domain | None = None,
    norm: str = "2",
    inside: Domain | None = None,
    report: ProgressReport = no_progress,
) -> UpperBound:
    """Bound the prepared ``module`` from above.

    Parameters
    ----------
    module
        The network.
    slopes
        ``"product"``, ``"eclipse"`` or ``"sdp"``.
    train_mode
        The paths of the submodules that were in train mode in the module that the user gave.
    domain, norm
        The inputs that count, None for all, and the norm of inputs and outputs.
    inside
        A smaller domain, whose Euclidean bound is computed as well; it costs no second trace.
    report
        A function that gets the number of operations that are done.
    """
    for name, tensor in module.module.named_parameters():
        if not bool(tensor.isfinite().all()):
            return _no_bound(f"{name}: it holds numbers that are not finite")
    try:
        graph = trace(module)
    except UntraceableError as error:
        return _no_bound(_reason_of_failed_trace(module, str(error)))
    except Exception as error:
        # the module's own code may raise any error under the tracer
        return _no_bound(_reason_of_failed_trace(module, class_and_line(error)))
    plain = propagate(graph, train_mode=train_mode, report=report)
    propagation = propagate(graph, train_mode=train_mode, known=merge_affine_chains(graph, plain))
    if math.isfinite(propagation.output.constant) and not reproduces(graph, module):
        return _no_bound(_reason_of_failed_trace(module, _OTHER_VALUES))
    product = propagation.output.constant
    layers, reasons = _layers(graph, propagation), _reasons(graph, propagation)
    if math.isinf(product):
        return UpperBound(product, "product", product, layers, reasons)
    evidence = upper_evidence(module, graph, propagation)
    found = UpperBound(product, "product", product, layers, reasons, (), evidence)
    if slopes != "product" and product != 0.0:
        tighter = bound_by_slopes(graph, plain, slopes=slopes, product=product)
        found = replace(
            found,
            value=min(tighter.value, product),
            method=slopes if tighter.value < product else "product",
            notes=(tighter.note,) if tighter.note else (),
            evidence=replace(evidence, slopes=tighter.proof),
        )
    if inside is not None:
        smaller = _on_domain(found, graph, plain, slopes=slopes, domain=inside, norm="2")
        found = replace(found, inside=smaller.value)
    if domain is None and norm == "2":
        return found
    return _on_domain(found, graph, plain, slopes=slopes, domain=domain, norm=norm)


def _on_domain(
    found: UpperBound,
    graph: Graph,
    plain: Propagation,
    *,
    slopes: str,
    domain: Domain | None,
    norm: str,
) -> UpperBound:
    """Return the bound on a domain or in another norm, from the Euclidean one for all inputs."""
    assert found.evidence is not None
    local = local_bound(
        graph,
        plain,
        everywhere=found.value,
        method=found.method,
        slopes=slopes,
        domain=domain,
        norm=norm,
    )
    evidence = replace(found.evidence, factor=norm_factor(graph, norm))
    if local.proof is not None or local.method == "intervals":
        evidence = replace(evidence, slopes=local.proof, restricted=True)
    notes = (local.note, *found.notes) if local.note else found.notes
    return replace(found, value=local.value, method=local.method, notes=notes, evidence=evidence)


def _reason_of_failed_trace(module: PreparedModule, reason: str) -> str:
    return f"{type(module.module).__name__}: it cannot be traced: {reason}; {HOW_TO_REGISTER}"


def _no_bound(reason: str) -> UpperBound:
    return UpperBound(math.inf, "product", math.inf, (), (reason,))


def _layers(graph: Graph, propagation: Propagation) -> tuple[LayerBound, ...]:
    hidden = ("structure", "absorbed")
    local = propagation.local.items()
    shown = {node: constant for node, constant in local if constant.method not in hidden}
    shares = _shares(shown, propagation)
    merged = _merged_names(graph, propagation)
    return tuple(
        LayerBound(
            name=merged.get(node) or operation_name(graph, node),
            kind="affine chain" if node in merged else operation_kind(graph, node),
            sigma=constant.sigma,
            method=constant.method,
            share=shares[node],
            spectrum=constant.spectrum or _spectrum(graph, node),
        )
        for node, constant in shown.items()
    )


def _merged_names(graph: Graph, propagation: Propagation) -> dict[Node, str]:
    names: dict[Node, str] = {}
    for chain in affine_chains(graph, propagation):
        absorbed = [node for node in chain if propagation.local[node].method == "absorbed"]
        if absorbed:
            end = next(node for node in chain if propagation.local[node].method == "merged")
            names[end] = " + ".join(operation_name(graph, node) for node in [*absorbed, end])
    return names


def _shares(shown: Mapping[Node, LipschitzConstant], propagation: Propagation) -> dict[Node, float]:
    infinite = [node for node, constant in shown.items() if math.isinf(constant.sigma)]
    if infinite:
        return {node: 1 / len(infinite) if node in infinite else 0.0 for node in shown}
    weights = propagation.output.elasticities
    parts = {
        node: weights.get(node, 0.0) * _logarithm(constant.sigma)
        for node, constant in shown.items()
    }
    total = sum(abs(part) for part in parts.values())
    # for a bound of 1, the shares would be rounding errors
    return {node: part / total if total > 1e-4 else 0.0 for node, part in parts.items()}


def _logarithm(sigma: float) -> float:
    """Return ``log sigma``, or 0 where sigma differs from 1 only by its room for rounding."""
    return math.log(sigma) if sigma > 0.0 and abs(sigma - 1.0) > _NEAR_ONE else 0.0


def _reasons(graph: Graph, propagation: Propagation) -> tuple[str, ...]:
    if math.isfinite(propagation.output.constant):
        return ()
    reasons = [
        f"{operation_name(graph, node)} ({operation_kind(graph, node)}): {constant.reason}"
        for node, constant in propagation.local.items()
        if math.isinf(constant.sigma)
    ]
    return tuple(reasons) or ("the product of the constants: float64 cannot hold it",)


@torch.no_grad()
def _spectrum(graph: Graph, node: Node) -> tuple[float, ...]:
    weight = getattr(graph.layer(node), "weight", None) if node.op == "call_module" else None
    if not isinstance(weight, Tensor) or weight.dim() < 2 or weight.numel() == 0:
        return ()
    matrix = weight.flatten(1)
    if min(matrix.shape) > _LARGEST_SPECTRUM:
        return ()
    return tuple(torch.linalg.svdvals(matrix).tolist())
