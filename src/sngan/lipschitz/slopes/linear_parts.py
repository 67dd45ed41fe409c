"""Linear parts of a network as matrices, with bounds of the errors of their elements."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from sngan.lipschitz.magnitudes import Magnitudes, relative_rounding
from sngan.lipschitz.merging import jacobian
from sngan.lipschitz.propagation import Propagation
from sngan.lipschitz.slopes.stages import EXACTNESS, Rounded
from sngan.lipschitz.tracing.graph import Graph, Node

_MOST_ENTRIES = 2**22


class NotCoveredError(Exception):
    """A network, or a part of it, does not have the form of ``Stages``; the message says why."""


class LinearParts:
    """The parts of a network between nonlinear operations; ``order`` has the needed operations."""

    def __init__(self, graph: Graph, propagation: Propagation, order: Sequence[Node]) -> None:
        self.graph, self.order = graph, order
        self.place = {node: index for index, node in enumerate(order)}
        self.magnitudes = Magnitudes(graph, propagation)

    def size(self, nodes: Sequence[Node]) -> int:
        """Return the number of elements of tensors."""
        return sum(self.graph.values[node].numel() for node in nodes)

    def matrix(self, given: Sequence[Node], wanted: Sequence[Node]) -> Rounded:
        """Return the matrix of the wanted tensors as a function of the given ones.

        A check at one point refuses maps that are not linear, and matrices that cancellation made
        inexact.
        """
        sizes = self.size(given), self.size(wanted)
        if math.prod(sizes) > _MOST_ENTRIES:
            raise NotCoveredError(f"a matrix of {sizes[1]} × {sizes[0]} elements is too large")
        example = self.graph.values[self.order[0]]
        flat = torch.zeros(sizes[0], dtype=torch.float64, device=example.device)
        flat.requires_grad_()
        with torch.enable_grad():
            output = self._evaluated(given, wanted, flat.clone())
            matrix = _jacobian(output, flat)
        with torch.no_grad():
            output = output.detach().cpu()
            step = torch.linspace(-1.0, 2.0, sizes[0], dtype=torch.float64)
            moved = self._evaluated(given, wanted, step.to(flat.device)).cpu()
        error = (moved - output - matrix @ step).abs()
        if not bool(
            (error <= EXACTNESS * (moved.abs() + output.abs() + matrix.abs() @ step.abs())).all()
        ):
            raise NotCoveredError("the part between two operations is not linear to 12 digits")
        return Rounded(matrix, self._errors(given, wanted))

    def between(self, given: Mapping[Node, object], wanted: Sequence[Node]) -> list[Node]:
        """Return the operations that lead from the given tensors to the wanted ones, in order."""
        found: set[Node] = set()
        waiting = [node for node in wanted if node not in given]
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                waiting += [n for n in node.all_input_nodes if n in self.place and n not in given]
        return sorted(found, key=self.place.__getitem__)

    def _evaluated(self, given: Sequence[Node], wanted: Sequence[Node], flat: Tensor) -> Tensor:
        """Return the wanted tensors as one vector; the vector ``flat`` holds the given ones."""
        values = self._split(given, flat)
        found = self.graph.run(self.between(values, wanted), values)
        return torch.cat([found[node].reshape(-1) for node in wanted])

    def _errors(self, given: Sequence[Node], wanted: Sequence[Node]) -> Tensor:
        """Return bounds of the errors of the matrix's elements: sums of absolute values of terms.

        The maps ``|A|`` are linear, so their product is the Jacobian at any point.
        """
        example = self.graph.values[self.order[0]]
        flat = torch.ones(self.size(given), dtype=torch.float64, device=example.device)
        flat.requires_grad_()
        terms = 0
        with torch.enable_grad():
            values = self._split(given, flat.clone())
            for node in self.between(values, wanted):
                values[node] = self.magnitudes.spread(node, values)
                terms += self.magnitudes.terms(node)
            output = torch.cat([values[node].reshape(-1) for node in wanted])
            return relative_rounding(terms) * _jacobian(output, flat)

    def _split(self, given: Sequence[Node], flat: Tensor) -> dict[Node, Tensor]:
        parts = flat.split([self.graph.values[node].numel() for node in given])
        return {
            node: part.reshape(self.graph.values[node].shape).clone()
            for node, part in zip(given, parts, strict=True)
        }


def _jacobian(output: Tensor, flat: Tensor) -> Tensor:
    if not output.requires_grad:
        return torch.zeros(len(output), len(flat), dtype=torch.float64)
    return jacobian(output, flat).detach().cpu()
