r"""Restriction of stages to a domain: the slopes that its inputs can reach.

Every value of the network differs from its value at the centre by ``Jd``, where J is a mean of
Jacobians along a segment in the domain. For a stage, the rows that an operation reads are pulled
back to the input as an interval matrix ``C ± R``: with blocks ``w_b = Δ_b(leave·v)_b``,
``‖Δ_b‖ ≤ 1``,

.. math:: (C ± R)(\text{keep} + \text{enter}\,Δ\,\text{leave}) ⊂ C\,\text{keep} ±
          \big(R|\text{keep}| + (|C\,\text{enter}| + R|\text{enter}|)_b\,|\text{leave}|_b\big),

with Euclidean norms over the elements of each block. So an element stays within
``(|C| + R)`` times the reach of the domain of its value at the centre, which limits its slopes, and
then those of later stages (as in Fast-Lip, Weng et al. 2018, arXiv:1804.09699, and RecurJac, Zhang
et al. 2019, arXiv:1810.11783). For this step, J is a mean Jacobian between a point and the centre.
There the slope of an activation is that of a chord from its value at the centre, whose range is
smaller than that of its derivative. The transposed stages give another ``C ± R``, and the smaller
bound of each element counts.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sngan.lipschitz.local.domain import Domain
from sngan.lipschitz.local.slope_ranges import Pieces, slope_ranges
from sngan.lipschitz.propagation import Propagation
from sngan.lipschitz.slopes.contractions import elementwise_ranges
from sngan.lipschitz.slopes.extraction import ExtractedStages, Piece
from sngan.lipschitz.slopes.proof import EXACTNESS
from sngan.lipschitz.slopes.stages import Stage, Stages, dual, stage_of
from sngan.lipschitz.tracing.graph import Graph, Node

# room for the rounding of a sum in float64
_ROUNDING = 1e-9
# the error of the values at the centre, relative to the largest number on the way there
_CENTRE = 1e-11
# a chord is longer than this part of the value, and than so many errors of the value at the centre
_NEAR, _NEAR_ERRORS = 1e-6, 1e6


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
    start = graph.nodes[0]
    at_centre = domain.centre.reshape(graph.values[start].shape).to(graph.values[start].device)
    with torch.no_grad():
        values = graph.run(graph.nodes[1:], {start: at_centre})
    reach = domain
    if found.start != [start]:
        # only the norm of the state before the stages is known
        zeros = torch.zeros(found.stages.first.shape[1], dtype=torch.float64)
        radius = found.before * domain.euclidean_radius * (1 + _ROUNDING)
        reach = Domain(zeros, torch.full_like(zeros, radius), "2")
    first, middle, fixed, elements = found.stages.first, [], 0, 0
    # the same stages for the difference from the centre alone, whose slopes are chords
    chords: list[Stage] = []
    for piece, stage in zip(found.pieces, found.stages.middle, strict=True):
        ranges = _ranges(
            graph, propagation, piece, values, Stages(first, chords, piece.read), reach
        )
        if ranges is None:
            middle.append(stage)
            chords.append(stage)
            continue
        fixed += int((ranges.slopes[0] == ranges.slopes[1]).sum())
        elements += len(ranges.slopes[0])
        middle.append(_stage(piece, ranges.slopes))
        chords.append(_stage(piece, ranges.chords))
    return Restricted(Stages(first, middle, found.stages.last), fixed, elements)


def _stage(piece: Piece, slopes: Range) -> Stage:
    contraction = elementwise_ranges(*slopes)
    return stage_of(contraction, kept=piece.kept, read=piece.read, added=piece.added)


def entry_bounds(stages: Stages) -> Tensor:
    """Return a bound of each element of every mean Jacobian, by rows or by columns."""
    by_rows, by_columns = interval_jacobian(stages), interval_jacobian(dual(stages))
    return torch.minimum(by_rows[0].abs() + by_rows[1], (by_columns[0].abs() + by_columns[1]).t())


def interval_jacobian(stages: Stages) -> tuple[Tensor, Tensor]:
    """Return C and R: every mean Jacobian of the stages differs from C by at most R."""
    centre, radius = stages.last, EXACTNESS * stages.last.abs()
    for stage in reversed(stages.middle):
        enter, leave = _read_blocks(stage, centre @ stage.enter), _leave_blocks(stage)
        spread = _read_blocks(stage, radius @ stage.enter.abs()) + EXACTNESS * enter
        rounding = EXACTNESS * (centre.abs() @ stage.keep.abs())
        radius = radius @ stage.keep.abs() + (enter + spread) @ leave + rounding
        centre = centre @ stage.keep
    first = stages.first
    rounding = EXACTNESS * (centre.abs() @ first.abs())
    return centre @ first, (radius @ first.abs() + rounding) * (1 + _ROUNDING)


def _ranges(
    graph: Graph,
    propagation: Propagation,
    piece: Piece,
    values: dict[Node, Tensor],
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
    centred = values[piece.reads[0]].detach().cpu().flatten()
    error = _CENTRE * _largest(values)
    room = reach.reach(entry_bounds(before)) * (1 + _ROUNDING) + error
    low, high = centred - room, centred + room
    slopes = chords = ranges.on(low, high)
    if isinstance(ranges, Pieces):
        near = _NEAR * torch.maximum(low.abs(), high.abs()) + _NEAR_ERRORS * error
        chords = ranges.chords(centred, low, high, near)
    least, most = constant.slopes
    # an interval or a derivative that overflows says nothing
    is_known = room.isfinite() & slopes[0].isfinite() & slopes[1].isfinite()

    def known(found: Range) -> Range:
        is_range = is_known & (found[0] <= found[1])
        return (
            torch.where(is_range, found[0].clamp(least, most), least),
            torch.where(is_range, found[1].clamp(least, most), most),
        )

    return _Ranges(known(slopes), known(chords))


def _largest(values: dict[Node, Tensor]) -> float:
    tensors = [value for value in values.values() if isinstance(value, Tensor)]
    return max(float(tensor.abs().max()) for tensor in tensors if tensor.is_floating_point())


def _read_blocks(stage: Stage, rows: Tensor) -> Tensor:
    """Return the norm over the elements of each block of w, for each row ``(rows, blocks)``."""
    squares = torch.zeros(len(rows), stage.blocks, dtype=rows.dtype)
    return squares.index_add(1, stage.enter_blocks, rows**2).sqrt() * (1 + _ROUNDING)


def _leave_blocks(stage: Stage) -> Tensor:
    """Return the norm over the rows of each block of leave, for each column."""
    squares = torch.zeros(stage.blocks, stage.leave.shape[1], dtype=stage.leave.dtype)
    return squares.index_add(0, stage.leave_blocks, stage.leave**2).sqrt() * (1 + _ROUNDING)
