"""Splitting of a box: the bound on it is the largest of the bounds on its parts.

A segment in the box is a chain of segments in parts. So the constant on the box is at most the
largest bound on a part, in every norm. The part with the largest bound is split in two halves
again and again, until no activation switches in it or the budget is used up (branch and bound, as
in Jordan, Dimakis 2020, arXiv:2003.01219).
"""

import heapq
from dataclasses import dataclass, field

import torch

from sngan.lipschitz.local.domain import Domain
from sngan.lipschitz.local.induced import induced_norm
from sngan.lipschitz.local.restriction import Restricted, restrict
from sngan.lipschitz.propagation import Propagation
from sngan.lipschitz.slopes.extraction import ExtractedStages
from sngan.lipschitz.tracing.graph import Graph

# halves of more inputs fix few more activations
_MOST_INPUTS = 8
MOST_PARTS = 40
"""How often a box may be split."""
# multiplications for all parts, which take about a second on one core
_WORK = 1e9
# more than the rounding of a centre
_ROUNDING = 1e-15


@dataclass(order=True)
class _Part:
    """A part of a box; the largest bound comes first."""

    order: float
    place: int
    domain: Domain = field(compare=False)
    is_exact: bool = field(compare=False)


def interval_bound(
    graph: Graph,
    propagation: Propagation,
    found: ExtractedStages,
    domain: Domain | None,
    norm: str,
) -> float:
    """Return a bound of the norm of all mean Jacobians of the stages on a domain.

    Parameters
    ----------
    graph, propagation, found
        The recorded network, its constants without merged operations, and its stages.
    domain
        The domain; None for all inputs.
    norm
        The norm of inputs and outputs.
    """
    if domain is None:
        return induced_norm(found.stages, norm)
    whole = restrict(graph, propagation, found, domain)
    parts = [_Part(-induced_norm(whole.stages, norm), 0, domain, _is_exact(whole))]
    for place in range(_affordable(graph, found, domain)):
        if parts[0].is_exact:
            break
        worst = heapq.heappop(parts)
        for half in _halves(worst.domain):
            inside = restrict(graph, propagation, found, half)
            bound = min(induced_norm(inside.stages, norm), -worst.order)
            heapq.heappush(parts, _Part(-bound, place + 1, half, _is_exact(inside)))
    return -parts[0].order


def has_interval_bound(graph: Graph, found: ExtractedStages, norm: str) -> bool:
    """Whether :func:`interval_bound` times ``found.before``, a Euclidean constant, is a bound."""
    return norm == "2" or found.start == [graph.nodes[0]]


def _affordable(graph: Graph, found: ExtractedStages, domain: Domain) -> int:
    """Return how often a part may be split."""
    inputs = len(domain.centre)
    if domain.norm != "inf" or inputs > _MOST_INPUTS or found.start != [graph.nodes[0]]:
        return 0
    # the bounds of a part pull the rows of each stage back through all stages before
    stages = found.stages.middle
    work = 8.0 * max(len(stages), 1) * sum(max(stage.enter.shape) ** 3 for stage in stages)
    return min(MOST_PARTS, int(_WORK / max(work, 1.0)))


def _is_exact(inside: Restricted) -> bool:
    return inside.fixed == inside.elements


def _halves(domain: Domain) -> list[Domain]:
    widest = int(domain.half.argmax())
    half = domain.half.clone()
    half[widest] *= 0.5
    found: list[Domain] = []
    for sign in (-1.0, 1.0):
        centre = domain.centre.clone()
        centre[widest] += sign * half[widest]
        room = half * (1 + _ROUNDING) + 4 * _ROUNDING * torch.maximum(
            centre.abs(), domain.centre.abs()
        )
        found.append(Domain(centre, room, "inf"))
    return found
