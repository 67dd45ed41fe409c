r"""Rounding error of a network's outputs as they are computed, at all inputs of a ball.

The error of each operation is bounded in the Euclidean norm (Higham 2002, Accuracy and Stability of
Numerical Algorithms, section 3). Let E bound the error of its input, and S the norm of the exact
input over the ball. A linear map of n summands computes ``Az + b`` with an error of at most
``σE + γ_{n+2}(2‖|A|‖(S + E) + ‖Az + b‖)``, where ``γ_n = nu/(1 − nu)`` and u is the unit roundoff
of the type of the weights. Other operations with the constant σ add ``8u`` of the norm of their
output. It is assumed that each dot product is summed in this type, in any order, with or without
fused multiplications (no TF32, no Winograd or Fourier kernels), and that functions such as tanh
are accurate to 4 units in the last place.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sngan.lipschitz.constants import LipschitzConstant
from sngan.lipschitz.merging import dense_matrix
from sngan.lipschitz.propagation import Propagation, propagate
from sngan.lipschitz.tracing.graph import Graph, Node

_UNITS = 8.0
_ROUNDING = 1e-9
_AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_SCALINGS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
Gain = tuple[float, float]


def rounding_error(graph: Graph, points: Tensor, radius: Tensor, *, unit: float) -> Tensor:
    """Return bounds of ``‖computed − exact‖`` of the outputs for all inputs in the balls ``(N,)``.

    Parameters
    ----------
    graph
        The recorded network.
    points
        The centres of the balls, float64 ``(N, …)``.
    radius
        Their radii ``(N,)``.
    unit
        The unit roundoff, such as 2⁻²⁴ for float32.
    """
    plain = propagate(graph, train_mode=frozenset())
    gains = _gains(graph, plain)
    errors: list[Tensor] = []
    for point, size in zip(points, radius, strict=True):
        found = _errors(graph, plain, gains, point[None], radius=size, unit=unit)
        errors.append(found[graph.nodes[-1]])
    return torch.stack(errors) * (1 + _ROUNDING)


def rounding_errors_at(graph: Graph, propagation: Propagation, point: Tensor) -> dict[Node, Tensor]:
    """Return bounds of ``‖computed − exact‖`` of all values at a point, in float64.

    Parameters
    ----------
    graph
        The recorded network.
    propagation
        Its constants, without merged operations.
    point
        An input with its batch dimension.
    """
    gains, radius = _gains(graph, propagation), torch.zeros((), dtype=torch.float64)
    found = _errors(graph, propagation, gains, point, radius=radius, unit=2.0**-53)
    return {node: error * (1 + _ROUNDING) for node, error in found.items()}


def _errors(
    graph: Graph,
    plain: Propagation,
    gains: Mapping[Node, Gain],
    point: Tensor,
    *,
    radius: Tensor,
    unit: float,
) -> dict[Node, Tensor]:
    start = graph.nodes[0]
    values = graph.run(graph.nodes[1:], {start: point})
    error = {start: torch.zeros((), dtype=torch.float64)}
    norms = {
        node: _norm(values[node]) + constant * radius for node, constant in plain.cumulative.items()
    }
    for node in graph.nodes[1:]:
        combination = plain.combinations.get(node)
        if combination is not None:
            parts = [branch.gain * error[branch.source] for branch in combination.branches]
            carried = sum(parts, torch.zeros((), dtype=torch.float64))
            error[node] = carried + _UNITS * unit * (norms[node] + carried)
            continue
        source, constant = plain.sources[node], plain.local[node]
        carried = constant.sigma * error[source]
        if constant.method == "structure":
            error[node] = carried
            continue
        terms, gain = gains[node]
        rounded = terms * unit / (1 - terms * unit)
        inside = 2 * gain * (norms[source] + error[source])
        error[node] = carried + rounded * (inside + norms[node] + carried)
    return error


def _gains(graph: Graph, plain: Propagation) -> dict[Node, Gain]:
    return {
        node: _gain(graph, node, plain.sources[node], constant)
        for node, constant in plain.local.items()
    }


def _gain(graph: Graph, node: Node, source: Node, constant: LipschitzConstant) -> Gain:
    """Return the number of summands of an operation, and a bound of ``‖|A|‖`` if it is linear."""
    if not constant.affine:
        return _UNITS, 0.0
    layer: Any = graph.layer(node) if node.op == "call_module" else None
    if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        sizes = layer.weight.detach().abs().flatten(2 if layer.weight.dim() > 2 else 1)
        terms = layer.weight[0].numel()
        sizes = sizes.sum(dim=-1) if layer.weight.dim() > 2 else sizes
    elif isinstance(layer, _SCALINGS):
        return 4.0, constant.sigma
    elif isinstance(layer, _AVERAGES):
        return graph.values[source].numel() / graph.values[node].numel() + 2.0, constant.sigma
    else:
        dense = dense_matrix(graph, (node,), source)
        if dense is None:
            count = graph.values[source].numel()
            return count + 2.0, constant.sigma * math.sqrt(count)
        sizes = dense.abs()
        terms = int((sizes > 0).sum(dim=1).max())
    # the norm is at most the root of the largest row sum times the largest column sum
    return terms + 2.0, math.sqrt(float(sizes.sum(dim=0).max() * sizes.sum(dim=1).max()))


def _norm(value: Any) -> Tensor:
    return torch.linalg.vector_norm(value) if isinstance(value, Tensor) else torch.zeros(())
