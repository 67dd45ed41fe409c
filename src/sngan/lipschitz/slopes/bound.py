"""Slope bound: it chooses multipliers, and checks the proof that they give."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from sngan.lipschitz.propagation import Propagation
from sngan.lipschitz.rounding import LEAST_CONSTANT, ldexp_up, multiply_up
from sngan.lipschitz.slopes.extraction import extract_stages
from sngan.lipschitz.slopes.linear_parts import NotCoveredError
from sngan.lipschitz.slopes.multipliers import closed_forms, search_multipliers
from sngan.lipschitz.slopes.proof import compress_inputs, proved_bound
from sngan.lipschitz.slopes.stages import Stages, balance
from sngan.lipschitz.tracing.graph import Graph


@dataclass(frozen=True)
class StagesProof:
    """A proved constant of stages, and the multipliers that prove it."""

    constant: float
    multipliers: tuple[Tensor, ...]


@dataclass(frozen=True)
class SlopeProof(StagesProof):
    """The proof of a bound by slopes; ``before`` is the constant of the part before the stages."""

    before: float
    stages: Stages


@dataclass(frozen=True)
class SlopeBound:
    """The bound by slopes, infinite if there is none, a note on uncovered parts, and the proof."""

    value: float
    note: str
    proof: SlopeProof | None = None


def bound_by_slopes(
    graph: Graph, propagation: Propagation, *, slopes: str, product: float
) -> SlopeBound:
    """Return the bound by slopes if it is below ``product``, the finite bound by the constants.

    Parameters
    ----------
    graph
        The recorded network.
    propagation
        Its constants, without merged operations: each is the constant of one operation.
    slopes
        ``"eclipse"`` for multipliers in closed form, ``"sdp"`` for a search.
    product
        The product bound.
    """
    if any(0.0 < constant < LEAST_CONSTANT for constant in propagation.cumulative.values()):
        return _no_bound(slopes, f"a part of the network has a constant below {LEAST_CONSTANT}")
    try:
        end = extract_stages(graph, propagation)
    except NotCoveredError as reason:
        return _no_bound(slopes, str(reason))
    found = prove_stages(end.stages, optimized=slopes == "sdp")
    if found is None:
        return _no_bound(slopes, "no multipliers pass the check of their proof")
    value = multiply_up(found.constant, end.before)
    if value >= product:
        return _no_bound(slopes, f"its bound {value:.6g} is not smaller")
    note = f"slopes={slopes!r} covers a part: {end.note}" if end.note else ""
    proof = SlopeProof(found.constant, found.multipliers, end.before, end.stages)
    return SlopeBound(value, note, proof)


def _no_bound(slopes: str, reason: str) -> SlopeBound:
    return SlopeBound(
        math.inf, f"slopes={slopes!r} was asked for, but the product counts: {reason}"
    )  # fmt: skip


def prove_stages(stages: Stages, *, optimized: bool) -> StagesProof | None:
    """Return a proved constant of the network, or None if the check of every proof fails.

    If ``optimized`` is true, it searches for the best multipliers; else it takes the best closed
    form.
    """
    balanced = balance(stages)
    given = balanced.stages
    first = compress_inputs(given.first, given.first_size)
    size = given.first_size if first is given.first else first.abs()
    network = replace(given, first=first, first_size=size)
    starts = [multipliers for _, multipliers in closed_forms(network)]
    found = _first_proved(network, starts)
    if optimized and starts and network.middle:
        better = _first_proved(network, [search_multipliers(network, starts[0])])
        known = [proof for proof in (found, better) if proof is not None]
        found = min(known, key=lambda proof: proof.constant, default=None)
    if found is None:
        return None
    return StagesProof(
        ldexp_up(found.constant, balanced.exponent),
        tuple(balanced.original_multipliers(found.multipliers)),
    )


def _first_proved(network: Stages, candidates: Sequence[Sequence[Tensor]]) -> StagesProof | None:
    for multipliers in candidates:
        constant = proved_bound(network, multipliers)
        if constant is not None:
            return StagesProof(constant, tuple(multipliers))
    return None
