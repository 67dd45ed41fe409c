"""Extraction of linear stages and contractions from a traced network, from its output backwards.

The operations that depend on the network's input are taken in the order in which they run. Each
operation that is not linear gets a contraction (``contractions.py``). Before and after it, the
network is cut where later operations need the fewest values; these values are the state
(``stages.py``). The part between two cuts is linear, and its matrix is the Jacobian. Where a cut or
a matrix is too large, the stages start after it, and the product of the constants bounds the rest.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from sngan.lipschitz.merging import jacobian
from sngan.lipschitz.propagation import Propagation
from sngan.lipschitz.rounding import hypot_up
from sngan.lipschitz.rules.functions import torch_name
from sngan.lipschitz.slopes import contractions
from sngan.lipschitz.slopes.contractions import Contraction
from sngan.lipschitz.slopes.proof import EXACTNESS
from sngan.lipschitz.slopes.stages import Stage, Stages, stage_of
from sngan.lipschitz.tracing.graph import Graph, Node

MOST_VALUES = 1024
_MOST_ENTRIES = 2**22
_CHOICES = ("maximum", "minimum", "max", "min")


class NotCoveredError(Exception):
    """A network, or a part of it, does not have the form of ``Stages``; the message says why."""


@dataclass(frozen=True)
class Piece:
    """A nonlinear operation, the tensors that it reads, and the matrices of ``stage_of``."""

    node: Node
    reads: Sequence[Node]
    kept: Tensor
    read: Tensor
    added: Tensor


@dataclass(frozen=True)
class ExtractedStages:
    """The last stages of a network, the constant before them, and why there are no earlier ones.

    ``pieces`` are the operations that the stages come from, and ``start`` the tensors before them.
    """

    stages: Stages
    before: float
    note: str
    pieces: Sequence[Piece]
    start: Sequence[Node]


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
        self.place = {node: index for index, node in enumerate(self.order)}
        self.nonlinear = [node for node in self.order[1:] if not self._is_linear(node)]
        self.pieces: list[Piece] = []

    def matrix(self) -> ExtractedStages:
        """Return the matrix of an affine network."""
        start = [self.order[0]]
        matrix = self._linear_matrix(start, [self.output])
        eye = torch.eye(len(matrix), dtype=torch.float64)
        return self._extracted(Stages(matrix, [], eye), 1.0, "", start=start)

    def run(self) -> ExtractedStages:
        if not self.nonlinear:
            raise NotCoveredError("the network is affine and has no slopes")
        places = [0, *(self.place[node] for node in self.nonlinear), len(self.order)]
        cuts = [self._smallest_cut(start, stop) for start, stop in pairwise(places)]
        last = self._linear_matrix(self._require_small(cuts[-1]), [self.output])
        middle: list[Stage] = []
        try:
            for node, before, after in reversed(
                [*zip(self.nonlinear, cuts, cuts[1:], strict=False)]
            ):
                middle.append(self._stage(node, before, after))
            first = self._linear_matrix([self.order[0]], self._require_small(cuts[0]))
        except NotCoveredError as reason:
            if not middle:
                raise
            return self._stages_after(cuts[len(cuts) - 1 - len(middle)], middle, last, str(reason))
        return self._extracted(Stages(first, middle[::-1], last), 1.0, "", start=[self.order[0]])

    def _extracted(
        self, stages: Stages, before: float, note: str, *, start: Sequence[Node]
    ) -> ExtractedStages:
        pieces = self.pieces[: len(stages.middle)][::-1]
        return ExtractedStages(stages, before, note, pieces, start)

    def _stages_after(
        self, cut: list[Node] | None, middle: list[Stage], last: Tensor, reason: str
    ) -> ExtractedStages:
        """Return the stages after a cut; the product of the constants bounds the state there."""
        live = self._require_small(cut)
        names = " and ".join(node.name for node in live)
        before = hypot_up(self.propagation.cumulative[node] for node in live)
        first = torch.eye(self._size(live), dtype=torch.float64)
        note = f"the product of the constants bounds {names}, because {reason}"
        return self._extracted(Stages(first, middle[::-1], last), before, note, start=live)

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
            if best is None or self._size(live) < self._size(best):
                best = live
        return best

    def _size(self, nodes: Sequence[Node]) -> int:
        return sum(self.graph.values[node].numel() for node in nodes)

    def _require_small(self, cut: list[Node] | None) -> list[Node]:
        if cut is None:
            raise NotCoveredError("the network could only be cut at tuples of tensors")
        if self._size(cut) > MOST_VALUES:
            names = " and ".join(node.name for node in cut)
            raise NotCoveredError(f"{names} has {self._size(cut)} values, more than {MOST_VALUES}")
        return cut

    def _stage(self, node: Node, before: list[Node] | None, after: list[Node] | None) -> Stage:
        start, end = self._require_small(before), self._require_small(after)
        sources = [n for n in node.all_input_nodes if n in self.place]
        if not all(isinstance(self.graph.values[n], Tensor) for n in [*sources, node]):
            raise NotCoveredError(f"{node.name} returns or takes a tuple of tensors")
        for size in (self._size(sources), self._size([node])):
            if size > MOST_VALUES:
                raise NotCoveredError(f"{node.name} has {size} values, more than {MOST_VALUES}")
        contraction, reads = self._contraction(node, sources)
        matrix = self._linear_matrix([*start, node], [*reads, *end])
        state, read = self._size(start), self._size(reads)
        piece = Piece(
            node,
            reads,
            kept=matrix[read:, :state],
            read=matrix[:read, :state],
            added=matrix[read:, state:],
        )
        self.pieces.append(piece)
        return stage_of(contraction, kept=piece.kept, read=piece.read, added=piece.added)

    def _contraction(self, node: Node, sources: Sequence[Node]) -> tuple[Contraction, list[Node]]:
        """Return the contraction of an operation, and the tensors that it reads."""
        constant = self.propagation.local.get(node)
        value = self.graph.values[node]
        if constant is None:
            return self._maximum(node, sources), list(sources)
        if len(sources) != 1 or not math.isfinite(constant.sigma):
            raise NotCoveredError(f"{node.name} has no constant")
        count = self._size(sources)
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

    def _linear_matrix(self, given: Sequence[Node], wanted: Sequence[Node]) -> Tensor:
        """Return the matrix of the wanted tensors as a function of the given ones.

        A check at one point refuses maps that are not linear, and matrices that cancellation made
        inexact.
        """
        sizes = self._size(given), self._size(wanted)
        if math.prod(sizes) > _MOST_ENTRIES:
            raise NotCoveredError(f"a matrix of {sizes[1]} × {sizes[0]} elements is too large")
        example = self.graph.values[self.order[0]]
        flat = torch.zeros(sizes[0], dtype=torch.float64, device=example.device)
        flat.requires_grad_()
        with torch.enable_grad():
            output = self._evaluated(given, wanted, flat.clone())
            if not output.requires_grad:
                matrix = torch.zeros(sizes[1], sizes[0], dtype=torch.float64)
            else:
                matrix = jacobian(output, flat).detach().cpu()
        with torch.no_grad():
            output = output.detach().cpu()
            step = torch.linspace(-1.0, 2.0, sizes[0], dtype=torch.float64)
            moved = self._evaluated(given, wanted, step.to(flat.device)).cpu()
        error = (moved - output - matrix @ step).abs()
        if not bool(
            (error <= EXACTNESS * (moved.abs() + output.abs() + matrix.abs() @ step.abs())).all()
        ):
            raise NotCoveredError("the part between two operations is not linear to 12 digits")
        return matrix

    def _evaluated(self, given: Sequence[Node], wanted: Sequence[Node], flat: Tensor) -> Tensor:
        """Return the wanted tensors as one vector; the vector ``flat`` holds the given ones."""
        parts = flat.split([self.graph.values[node].numel() for node in given])
        values: dict[Node, Tensor] = {
            node: part.reshape(self.graph.values[node].shape).clone()
            for node, part in zip(given, parts, strict=True)
        }
        found = self.graph.run(self._between(values, wanted), values)
        return torch.cat([found[node].reshape(-1) for node in wanted])

    def _between(self, given: Mapping[Node, Tensor], wanted: Sequence[Node]) -> list[Node]:
        """Return the operations that lead from the given tensors to the wanted ones, in order."""
        found: set[Node] = set()
        waiting = [node for node in wanted if node not in given]
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                waiting += [n for n in node.all_input_nodes if n in self.place and n not in given]
        return sorted(found, key=self.place.__getitem__)


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
