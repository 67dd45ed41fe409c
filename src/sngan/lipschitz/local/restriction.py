"""Restriction of stages to a domain: the slopes that its inputs can reach.

Every value of the network differs from its value at the centre by ``Jd``, where J is a mean of
Jacobians along a segment in the domain. An interval matrix ``C ± R`` (``interval_jacobian.py``)
holds all J. So an element stays within ``(|C| + R)`` times the reach of the domain, and the
rounding error of its value at the centre (``centre.py``). This limits its slopes, and then those of
later stages (as in Fast-Lip, Weng et al. 2018, arXiv:1804.09699, and RecurJac, Zhang et al. 2019,
arXiv:1810.11783). For this step, J is a mean Jacobian between a point and the centre. There the
slope of an activation is that of a chord from its value at the centre, whose range is smaller than
that of its derivative. The transposed stages give another ``C ± R``, and the smaller bound of each
element counts.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sngan.lipschitz.local.centre import CentreValues, values_at_centre
from sngan.lipschitz.local.domain import Domain
from sngan.lipschitz.local.interval_jacobian import (
    smaller_entries,
    states_pulled_back,
    through_first,
)
from sngan.lipschitz.local.slope_ranges import Pieces, slope_ranges
from sngan.lipschitz.propagation import Propagation
from sngan.lipschitz.slopes.contractions import elementwise_ranges
from sngan.lipschitz.slopes.extraction import ExtractedStages, Piece
from sngan.lipschitz.slopes.stages import Stage, Stages
from sngan.lipschitz.tracing.graph import Graph

# room for the rounding of a sum in float64
_ROUNDING = 1e-9
# rounding of the ends of an interval
_END = 2.0**-50
# a chord is longer than this part of the value, and than so many errors of the value at the centre
_NEAR, _NEAR_ERRORS = 1e-6, 4.0

Range = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class _Ranges:
    """The range of each element's slopes, and that of the chords from its value at the centre."""

    slopes: Range
    chords: Range


@dataclass(frozen=True)
class Restricted:
    """The stages with restricted slopes, and how many elements have one slope on the domain."""

    stages: Stages
    fixed: int
    elements: int


def restrict(
    graph: Graph, propagation: Propagation, found: ExtractedStages, domain: Domain
) -> Restricted:
    """Restrict the slopes of the extracted stages to those that inputs of the domain can reach.

    Parameters
    ----------
    graph
        The recorded network.
    propagation
        Its constants, without merged operations.
    found
        The stages.
    domain
        The domain.
    """
    known = values_at_centre(graph, propagation, found, domain.centre)
    given, reach = found.stages, domain
    if found.start != [graph.nodes[0]]:
        # only the norm of the state before the stages is known
        zeros = torch.zeros(given.first.shape[1], dtype=torch.float64)
        radius = found.before * domain.euclidean_radius * (1 + _ROUNDING)
        reach = Domain(zeros, torch.full_like(zeros, radius), "2")
    middle, fixed, elements = list[Stage](), 0, 0
    # the same stages for the difference from the centre alone, whose slopes are chords
    chords: list[Stage] = []
    for place, (piece, stage) in enumerate(zip(found.pieces, given.middle, strict=True)):
        read = piece.read
        before = Stages(given.first, chords, read.values, given.first_size, read.size)
        ranges = _ranges(graph, propagation, piece, known, place, before=before, reach=reach)
        if ranges is None:
            middle.append(stage)
            chords.append(stage)
            continue
        fixed += int((ranges.slopes[0] == ranges.slopes[1]).sum())
        elements += len(ranges.slopes[0])
        middle.append(piece.stage(elementwise_ranges(*ranges.slopes)))
        chords.append(piece.stage(elementwise_ranges(*ranges.chords)))
    stages = Stages(given.first, middle, given.last, given.first_size, given.last_size)
    return Restricted(stages, fixed, elements)


def _ranges(
    graph: Graph,
    propagation: Propagation,
    piece: Piece,
    known: CentreValues,
    place: int,
    *,
    before: Stages,
    reach: Domain,
) -> _Ranges | None:
    """Return the slopes of each element of an elementwise operation, or None for others."""
    constant = propagation.local.get(piece.node)
    if constant is None or constant.slopes is None or len(piece.reads) != 1:
        return None
    ranges = slope_ranges(graph, piece.node)
    if ranges is None:
        return None
    centred, states = known.values[place], list(states_pulled_back(before))
    error = known.error(place, states)
    sizes = smaller_entries(before, through_first(before, states[-1]))
    room = reach.reach(sizes) * (1 + _ROUNDING) + error
    room = room + _END * (centred.abs() + room)
    low, high = centred - room, centred + room
    slopes = chords = ranges.on(low, high)
    if isinstance(ranges, Pieces):
        near = _NEAR * torch.maximum(low.abs(), high.abs()) + _NEAR_ERRORS * error
        chords = ranges.chords(centred, low, high, near=near, error=error)
    least, most = constant.slopes
    # an interval or a derivative that overflows says nothing
    is_known = room.isfinite() & slopes[0].isfinite() & slopes[1].isfinite()

    def within(found: Range) -> Range:
        is_range = is_known & (found[0] <= found[1])
        return (
            torch.where(is_range, found[0].clamp(least, most), least),
            torch.where(is_range, found[1].clamp(least, most), most),
        )

    return _Ranges(within(slopes), within(chords))
