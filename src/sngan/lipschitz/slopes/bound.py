"""The bound by slopes: multipliers are chosen, and what they prove is checked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from sngan.lipschitz.constants import LEAST_CONSTANT, shifted, times
from sngan.lipschitz.propagation import Walk
from sngan.lipschitz.slopes.extraction import NotCoveredError, extracted
from sngan.lipschitz.slopes.multipliers import closed_forms, searched
from sngan.lipschitz.slopes.proof import narrowed, proved_bound
from sngan.lipschitz.slopes.stages import Stages, balanced
from sngan.lipschitz.tracing.graph import Graph


@dataclass(frozen=True)
class Tightened:
    """The bound by slopes, infinite where there is none, and a note of what it does not cover."""

    value: float
    note: str


def tightened(graph: Graph, walked: Walk, slopes: str, *, product: float) -> Tightened:
    """The bound by slopes where it is below ``product``, the finite bound by the constants.

    No operation of ``walked`` may be merged with others, so that each constant is one of its value.
    """
    if any(0.0 < constant < LEAST_CONSTANT for constant in walked.constants.values()):
        return _declined(slopes, f"a part of the network has a constant below {LEAST_CONSTANT}")
    try:
        end = extracted(graph, walked)
    except NotCoveredError as reason:
        return _declined(slopes, str(reason))
    found = slope_bound(end.stages, optimized=slopes == "sdp")
    if found is None:
        return _declined(slopes, "no multipliers pass the check of their proof")
    value = times(found, end.before)
    if value >= product:
        return _declined(slopes, f"its bound {value:.6g} is not smaller")
    return Tightened(value, f"slopes={slopes!r} covers a part: {end.note}" if end.note else "")


def _declined(slopes: str, reason: str) -> Tightened:
    return Tightened(
        math.inf, f"slopes={slopes!r} was asked for, but the product counts: {reason}"
    )  # fmt: skip


def slope_bound(stages: Stages, *, optimized: bool) -> float | None:
    """A proved constant of the network, or None where the check of every proof fails.

    ``optimized`` searches for the best multipliers, otherwise the best closed form counts.
    """
    even, exponent = balanced(stages)
    network = replace(even, first=narrowed(even.first))
    starts = [multipliers for _, multipliers in closed_forms(network)]
    constant = _first_proved(network, starts)
    if optimized and starts and network.middle:
        better = proved_bound(network, searched(network, starts[0]))
        constant = min((c for c in (constant, better) if c is not None), default=None)
    return None if constant is None else shifted(constant, exponent)


def _first_proved(network: Stages, candidates: Sequence[Sequence[Tensor]]) -> float | None:
    for multipliers in candidates:
        constant = proved_bound(network, multipliers)
        if constant is not None:
            return constant
    return None
