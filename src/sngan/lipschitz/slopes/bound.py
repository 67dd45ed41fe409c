"""Slope bound: it chooses multipliers, and checks the proof that they give."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from sngan.lipschitz.propagation import Propagation
from sngan.lipschitz.rounding import LEAST_CONSTANT, ldexp_up, multiply_up
from sngan.lipschitz.slopes.extraction import NotCoveredError, extract_stages
from sngan.lipschitz.slopes.multipliers import closed_forms, search_multipliers
from sngan.lipschitz.slopes.proof import compress_inputs, proved_bound
from sngan.lipschitz.slopes.stages import Stages, balance
from sngan.lipschitz.tracing.graph import Graph


@dataclass(frozen=True)
class SlopeBound:
    """The bound by slopes, infinite if there is none, and a note on uncovered parts."""

    value: float
    note: str


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
    found = bound_of_stages(end.stages, optimized=slopes == "sdp")
    if found is None:
        return _no_bound(slopes, "no multipliers pass the check of their proof")
    value = multiply_up(found, end.before)
    if value >= product:
        return _no_bound(slopes, f"its bound {value:.6g} is not smaller")
    return SlopeBound(value, f"slopes={slopes!r} covers a part: {end.note}" if end.note else "")


def _no_bound(slopes: str, reason: str) -> SlopeBound:
    return SlopeBound(
        math.inf, f"slopes={slopes!r} was asked for, but the product counts: {reason}"
    )  # fmt: skip


def bound_of_stages(stages: Stages, *, optimized: bool) -> float | None:
    """Return a proved constant of the network, or None if the check of every proof fails.

    If ``optimized`` is true, it searches for the best multipliers; else it takes the best closed
    form.
    """
    balanced, exponent = balance(stages)
    network = replace(balanced, first=compress_inputs(balanced.first))
    starts = [multipliers for _, multipliers in closed_forms(network)]
    constant = _first_proved(network, starts)
    if optimized and starts and network.middle:
        better = proved_bound(network, search_multipliers(network, starts[0]))
        constant = min((c for c in (constant, better) if c is not None), default=None)
    return None if constant is None else ldexp_up(constant, exponent)


def _first_proved(network: Stages, candidates: Sequence[Sequence[Tensor]]) -> float | None:
    for multipliers in candidates:
        constant = proved_bound(network, multipliers)
        if constant is not None:
            return constant
    return None
