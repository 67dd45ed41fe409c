"""Extraction of linear stages and contractions from a traced network, from its output backwards.

The operations that depend on the network's input are taken in the order in which they run. Each
operation that is not linear gets a contraction (``contractions.py``). Before and after it, the
network is cut where later operations need the fewest values; these values are the state
(``stages.py``). The part between two cuts is linear, and its matrix is the Jacobian. Where a cut or
a matrix is too large, the stages start after it, and the product of the constants bounds the rest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from sngan.lipschitz.propagation import Propagation
from sngan.lipschitz.rounding import hypot_up
from sngan.lipschitz.rules.functions import torch_name
from sngan.lipschitz.slopes import contractions
from sngan.lipschitz.slopes.contractions import Contraction
from sngan.lipschitz.slopes.linear_parts import LinearParts, NotCoveredError
from sngan.lipschitz.slopes.stages import Rounded, Stage, Stages, stage_of, stages_of
from sngan.lipschitz.tracing.graph import Graph, Node

MOST_VALUES = 1024
_CHOICES = ("maximum", "minimum", "max", "min")


@dataclass(frozen=True)
class Piece:
    """A nonlinear operation, the tensors that it reads, and the matrices of ``stage_of``."""

    node: Node
    reads: Sequence[Node]
    kept: Rounded
    read: Rounded
    added: Rounded

    def stage(self, contraction: Contraction) -> Stage:
        """Return the stage of the operation as this contraction."""
        return stage_of(contraction, kept=self.kept, read=self.read, added=self.added)


@dataclass(frozen=True)
class ExtractedStages:
    """The last stages of a network, the constant before them, and why there are no earlier ones.

    ``pieces`` are the operations that the stages come from, ``start`` the tensors before them, and
    ``parts`` the linear parts between them.
    """

    stages: Stages
    before: float
    note: str
    pieces: Sequence[Piece]
    start: Sequence[Node]
    parts: LinearParts


def extract_stages(
    graph: Graph, propagation: Propagation, *, affine: bool = False
) -> ExtractedStages:
    """Return the longest end of the network that has the form of ``Stages``.

    Parameters
    ----------
    graph
        The recorded network.
    propagation
        Its constants, without merged operations.
    affine
        Whether a network without nonlinear operations is a matrix without stages, and no error.

    Raises
    ------
    NotCoveredError
        If the network has no nonlinear operation, or not even the last one has this form.
    """
    extractor = _Extractor(graph, propagation)
    return extractor.matrix() if affine and not extractor.nonlinear else extractor.run()


class _Extractor:
    def __init__(self, graph: Graph, propagation: Propagation) -> None:
        self.graph, self.propagation = graph, propagation
        self.output: Node = graph.nodes[-1].args[0]  # pyright: ignore[reportAttributeAccessIssue]
        needed = {self.output, *_ancestors(self.output)}
        self.order = [node for node in propagation.cumulative if node in needed]
        self.parts = LinearParts(graph, propagation, self.order)
        self.place = self.parts.place
        self.nonlinear = [node for node in self.order[1:] if not self._is_linear(node)]
        self.pieces: list[Piece] = []

    def matrix(self) -> ExtractedStages:
        """Return the matrix of an affine network."""
        start = [self.order[0]]
        matrix = self.parts.matrix(start, [self.output])
        eye = Rounded.eye(len(matrix.values))
        return self._extracted(stages_of(matrix, [], eye), 1.0, "", start=start)

    def run(self) -> ExtractedStages:
        if not self.nonlinear:
            raise NotCoveredError("the network is affine and has no slopes")
        places = [0, *(self.place[node] for node in self.nonlinear), len(self.order)]
        cuts = [self._smallest_cut(start, stop) for start, stop in pairwise(places)]
        last = self.parts.matrix(self._require_small(cuts[-1]), [self.output])
        middle: list[Stage] = []
        try:
            for node, before, after in reversed(
                [*zip(self.nonlinear, cuts, cuts[1:], strict=False)]
            ):
                middle.append(self._stage(node, before, after))
            first = self.parts.matrix([self.order[0]], self._require_small(cuts[0]))
        except NotCoveredError as reason:
            if not middle:
                raise
            return self._stages_after(cuts[len(cuts) - 1 - len(middle)], middle, last, str(reason))
        stages = stages_of(first, middle[::-1], last)
        return self._extracted(stages, 1.0, "", start=[self.order[0]])

    def _extracted(
        self, stages: Stages, before: float, note: str, *, start: Sequence[Node]
    ) -> ExtractedStages:
        pieces = self.pieces[: len(stages.middle)][::-1]
        return ExtractedStages(stages, before, note, pieces, start, self.parts)

    def _stages_after(
        self, cut: list[Node] | None, middle: list[Stage], last: Rounded, reason: str
    ) -> ExtractedStages:
        """Return the stages after a cut; the product of the constants bounds the state there."""
        live = self._require_small(cut)
        names = " and ".join(node.name for node in live)
        before = hypot_up(self.propagation.cumulative[node] for node in live)
        first = Rounded.eye(self.parts.size(live))
        note = f"the product of the constants bounds {names}, because {reason}"
        stages = stages_of(first, middle[::-1], last)
        return self._extracted(stages, before, note, start=live)

    def _is_linear(self, node: Node) -> bool:
        constant = self.propagation.local.get(node)
        if constant is None:
            return node.op != "call_function" or torch_name(node.target) not in _CHOICES
        if constant.slopes is not None:
            return constant.slopes[0] == constant.slopes[1]
        return constant.affine

    def _smallest_cut(self, start: int, stop: int) -> list[Node] | None:
        """Return the smallest set of tensors, between two places, that later operations need."""
        best: list[Node] | None = None
        for place in range(start, stop):
            live = [
                node
                for node in self.order[: place + 1]
                if node is self.output or any(self.place.get(u, -1) > place for u in node.users)
            ]
            if not all(isinstance(self.graph.values[node], Tensor) for node in live):
                continue
            if best is None or self.parts.size(live) < self.parts.size(best):
                best = live
        return best

    def _size(self, nodes: Sequence[Node]) -> int:
        return sum(self.graph.values[node].numel() for node in nodes)

    def _require_small(self, cut: list[Node] | None) -> list[Node]:
        if cut is None:
            raise NotCoveredError("the network could only be cut at tuples of tensors")
        if self.parts.size(cut) > MOST_VALUES:
            names = " and ".join(node.name for node in cut)
            raise NotCoveredError(
                f"{names} has {self.parts.size(cut)} values, more than {MOST_VALUES}"
            )
        return cut

    def _stage(self, node: Node, before: list[Node] | None, after: list[Node] | None) -> Stage:
        start, end = self._require_small(before), self._require_small(after)
        sources = [n for n in node.all_input_nodes if n in self.place]
        if not all(isinstance(self.graph.values[n], Tensor) for n in [*sources, node]):
            raise NotCoveredError(f"{node.name} returns or takes a tuple of tensors")
        for size in (self.parts.size(sources), self.parts.size([node])):
            if size > MOST_VALUES:
                raise NotCoveredError(f"{node.name} has {size} values, more than {MOST_VALUES}")
        contraction, reads = self._contraction(node, sources)
        matrix = self.parts.matrix([*start, node], [*reads, *end])
        state, read = self.parts.size(start), self.parts.size(reads)
        piece = Piece(
            node,
            reads,
            kept=matrix.part(slice(read, None), slice(state)),
            read=matrix.part(slice(read), slice(state)),
            added=matrix.part(slice(read, None), slice(state, None)),
        )
        self.pieces.append(piece)
        return piece.stage(contraction)

    def _contraction(self, node: Node, sources: Sequence[Node]) -> tuple[Contraction, list[Node]]:
        """Return the contraction of an operation, and the tensors that it reads."""
        constant = self.propagation.local.get(node)
        value = self.graph.values[node]
        if constant is None:
            return self._maximum(node, sources), list(sources)
        if len(sources) != 1 or not math.isfinite(constant.sigma):
            raise NotCoveredError(f"{node.name} has no constant")
        count = self.parts.size(sources)
        if constant.slopes is not None:
            return contractions.elementwise(*constant.slopes, count), list(sources)
        if constant.sorts:
            return contractions.sorting(_neighbours(value, constant.sorts), count), list(sources)
        return contractions.ball(constant.sigma, value.numel(), count), list(sources)

    def _maximum(self, node: Node, sources: Sequence[Node]) -> Contraction:
        """Return the contraction of a maximum or minimum of two tensors; one may be a constant."""
        groups: list[Tensor] = []
        count = 0
        for source in sources:
            shape = self.graph.values[source].shape
            indices = count + torch.arange(math.prod(shape)).reshape(shape)
            groups.append(indices.expand(self.graph.values[node].shape).flatten())
            count += indices.numel()
        if len(sources) == 2:
            return contractions.largest(torch.stack(groups, dim=1), count)
        if len(groups[0]) != count:
            raise NotCoveredError(f"{node.name} repeats elements")
        return contractions.elementwise(0.0, 1.0, count)


def _neighbours(value: Tensor, size: int) -> Tensor:
    """Return the indices of groups of neighbours in dimension 1, ``(number, size)``."""
    indices = torch.arange(value.numel()).reshape(value.shape)
    return indices.unflatten(1, (-1, size)).movedim(2, -1).reshape(-1, size)


def _ancestors(node: Node) -> set[Node]:
    found: set[Node] = set()
    waiting = [node]
    while waiting:
        new = [n for n in waiting.pop().all_input_nodes if n not in found]
        found.update(new)
        waiting += new
    return found
