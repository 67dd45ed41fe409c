"""Upper bound of the Lipschitz constant on a domain or in another norm than the Euclidean one."""

import math
from dataclasses import dataclass, replace

from sngan.lipschitz.local.domain import Domain
from sngan.lipschitz.local.restriction import Restricted, restrict
from sngan.lipschitz.local.splitting import has_interval_bound, interval_bound
from sngan.lipschitz.propagation import Propagation
from sngan.lipschitz.rounding import multiply_up, next_up
from sngan.lipschitz.slopes.bound import SlopeProof, prove_stages
from sngan.lipschitz.slopes.extraction import ExtractedStages, extract_stages
from sngan.lipschitz.slopes.linear_parts import NotCoveredError
from sngan.lipschitz.tracing.graph import Graph


@dataclass(frozen=True)
class LocalBound:
    """A bound on a domain, the method that gave it, a note on what it used, and a slope proof."""

    value: float
    method: str
    note: str
    proof: SlopeProof | None = None


def local_bound(
    graph: Graph,
    propagation: Propagation,
    *,
    everywhere: float,
    method: str,
    slopes: str,
    domain: Domain | None,
    norm: str,
) -> LocalBound:
    """Return the smallest bound on a domain that the methods give.

    Parameters
    ----------
    graph, propagation
        The recorded network, and its constants without merged operations.
    everywhere, method
        The Euclidean bound for all inputs, and its method.
    slopes
        ``"product"``, ``"eclipse"`` or ``"sdp"``.
    domain
        The domain; None for all inputs.
    norm
        The norm of inputs and outputs: ``"2"``, ``"1"`` or ``"inf"``.
    """
    known = LocalBound(multiply_up(everywhere, norm_factor(graph, norm)), method, "")
    if not 0.0 < everywhere < math.inf:
        return known
    try:
        found = extract_stages(graph, propagation, affine=True)
    except NotCoveredError as reason:
        note = f"the domain and the norm were not used: {reason}"
        return LocalBound(known.value, method, note)
    inside = Restricted(found.stages, 0, 0)
    if domain is not None:
        inside = restrict(graph, propagation, found, domain)
    note = "" if domain is None else _note(inside, found)
    candidates = [known, *_candidates(graph, inside, found, slopes=slopes, norm=norm)]
    if has_interval_bound(graph, found, norm):
        value = interval_bound(graph, propagation, found, domain, norm)
        candidates.append(LocalBound(multiply_up(value, found.before), "intervals", ""))
    best = min(candidates, key=lambda candidate: candidate.value)
    return replace(best, note=note)


def _candidates(
    graph: Graph, inside: Restricted, found: ExtractedStages, *, slopes: str, norm: str
) -> list[LocalBound]:
    candidates: list[LocalBound] = []
    if slopes != "product" and inside.stages.middle:
        proof = prove_stages(inside.stages, optimized=slopes == "sdp")
        if proof is not None:
            value = multiply_up(proof.constant, found.before)
            known = SlopeProof(proof.constant, proof.multipliers, found.before, inside.stages)
            size = multiply_up(value, norm_factor(graph, norm))
            candidates.append(LocalBound(size, slopes, "", known))
    return candidates


def norm_factor(graph: Graph, norm: str) -> float:
    """Return a bound of ``‖J‖/‖J‖₂``: √inputs for the maximum norm, √outputs for the 1-norm."""
    if norm == "2":
        return 1.0
    ends = {"inf": graph.nodes[0], "1": graph.nodes[-1]}
    return next_up(math.sqrt(graph.values[ends[norm]].numel()))


def _note(inside: Restricted, found: ExtractedStages) -> str:
    note = f"{inside.fixed:,} of {inside.elements:,} activations have one slope on the domain"
    return f"{note}; {found.note}" if found.note else note
