"""Values of a network at the centre of a domain, with bounds of their rounding errors.

The inputs of a nonlinear operation are linear in the outputs of those before it. So the error of
such an input has two parts: the rounding of that linear part (``magnitudes.py``), and the errors of
the earlier outputs, which the stages carry on like differences of inputs. An operation of constant
σ whose input has the rounding error e adds at most ``σe`` and the rounding of its own output.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sngan.lipschitz.local.interval_jacobian import IntervalMatrix
from sngan.lipschitz.propagation import Propagation
from sngan.lipschitz.rounding_error import rounding_errors_at
from sngan.lipschitz.slopes.extraction import ExtractedStages, Piece
from sngan.lipschitz.tracing.graph import Graph

# error of one nonlinear operation, relative to its input and output
_OPERATION = 16 * 2.0**-53
_ROUNDING = 1e-9


@dataclass(frozen=True)
class CentreValues:
    """The inputs of each piece at the centre, flat, and the parts of their errors.

    Attributes
    ----------
    values
        The inputs of each piece.
    rounding
        The rounding error of each input, as a function of the computed outputs of earlier pieces.
    added
        The error that each piece adds to the state after it.
    start
        The error of the first state.
    """

    values: Sequence[Tensor]
    rounding: Sequence[Tensor]
    added: Sequence[Tensor]
    start: Tensor

    def error(self, place: int, states: Sequence[IntervalMatrix]) -> Tensor:
        """Return bounds of the errors of the inputs of a piece.

        Parameters
        ----------
        place
            The place of the piece.
        states
            The interval matrices of its inputs as functions of the states before it, the last
            state first.
        """
        injected = [self.start, *self.added[:place]][::-1]
        total = self.rounding[place]
        for (centre, radius), errors in zip(states, injected, strict=True):
            total = total + (centre.abs() + radius) @ errors
        return total * (1 + _ROUNDING)


@torch.no_grad()
def values_at_centre(
    graph: Graph, propagation: Propagation, found: ExtractedStages, centre: Tensor
) -> CentreValues:
    """Compute a network's values at the centre of a domain, float64 and flat, and their errors."""
    start = graph.nodes[0]
    shaped = centre.reshape(graph.values[start].shape).to(graph.values[start].device)
    values = graph.run(graph.nodes[1:], {start: shaped})
    exact = {*found.start, *(piece.node for piece in found.pieces)}
    wanted = [node for piece in found.pieces for node in piece.reads]
    between = found.parts.between(dict.fromkeys(exact), [n for n in wanted if n not in exact])
    errors = found.parts.magnitudes.errors(between, values, exact)
    rounding = [_flat([errors[node] for node in piece.reads]) for piece in found.pieces]
    inputs = [_flat([values[node] for node in piece.reads]) for piece in found.pieces]
    added = [
        _added_error(propagation, piece, _flat([values[piece.node]]), z, e)
        for piece, z, e in zip(found.pieces, inputs, rounding, strict=True)
    ]
    before = torch.zeros(found.stages.first.shape[0], dtype=torch.float64)
    if found.start != [start]:
        known = rounding_errors_at(graph, propagation, shaped)
        before += torch.stack([known[node] for node in found.start]).sum()
    return CentreValues(inputs, rounding, added, before)


def _added_error(
    propagation: Propagation, piece: Piece, output: Tensor, z: Tensor, error: Tensor
) -> Tensor:
    """Return the error that a piece adds to the next state, if its input has a rounding error."""
    constant = propagation.local.get(piece.node)
    sigma = 1.0 if constant is None else constant.sigma
    size = z.abs()
    if constant is None or constant.slopes is None:
        # an output depends on several inputs
        size, error = size.norm(), error.norm()
    own = sigma * error + _OPERATION * (output.abs() + sigma * size)
    return (piece.added.values.abs() + piece.added.errors) @ own


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().cpu().flatten() for tensor in tensors])
