"""Merging of affine operations: the norm of a chain's matrix in place of a product of norms."""

import math
from dataclasses import replace
from itertools import accumulate

import torch
from torch import Tensor

from sngan.lipschitz.constants import ABSORBED, LipschitzConstant
from sngan.lipschitz.propagation import Propagation
from sngan.lipschitz.rounding import LEAST_CONSTANT, multiply_up
from sngan.lipschitz.tracing.graph import Graph, Node

Chain = tuple[Node, ...]

_MOST_ENTRIES = 2**20
_MOST_PASSES = 512
_AT_ONCE = 64
# float64 products of up to 2¹⁰ terms err by less than 2⁻⁴² of the product of the norms
_ROUNDING = 1e-9
# an error that is small beside the norm
_SMALL = 1e-6


def affine_chains(graph: Graph, propagation: Propagation) -> list[Chain]:
    """Return the longest chains of affine operations that no branch leaves on the way."""
    chains: list[list[Node]] = []
    by_end: dict[Node, list[Node]] = {}
    for node, constant in propagation.local.items():
        source = propagation.sources[node]
        values = (graph.values[source], graph.values[node])
        if not constant.affine or not all(isinstance(value, Tensor) for value in values):
            continue
        chain = by_end.pop(source, None) if len(source.users) == 1 else None
        if chain is None:
            chain = []
            chains.append(chain)
        chain.append(node)
        by_end[node] = chain
    return [tuple(chain) for chain in chains]


def merge_affine_chains(graph: Graph, propagation: Propagation) -> dict[Node, LipschitzConstant]:
    """Return all constants; a merged chain has its norm at its last operation, and 1 elsewhere."""
    found = dict(propagation.local)
    for chain in affine_chains(graph, propagation):
        sigmas = [found[node].sigma for node in chain]
        proper = [node for node in chain if found[node].method != "structure"]
        if len(proper) < 2:
            continue
        merged = _matrix_and_error(graph, chain, propagation.sources[chain[0]], sigmas)
        if merged is None:
            continue
        matrix, error = merged
        spectrum = tuple(torch.linalg.svdvals(matrix).tolist())
        # the error has room for that of the SVD, which is far smaller
        sigma = spectrum[0] + error
        if sigma < _product(sigmas):
            for absorbed in proper[:-1]:
                found[absorbed] = ABSORBED
            found[proper[-1]] = replace(
                found[proper[-1]], sigma=sigma, method="merged", spectrum=spectrum
            )
    return found


def _matrix_and_error(
    graph: Graph, chain: Chain, source: Node, sigmas: list[float]
) -> tuple[Tensor, float] | None:
    """Return the matrix of a chain, and a bound of the norm of its error; None without a proof.

    Rounding in a long chain is bounded by the product of the norms, which can be far above the norm
    of the product. Then the matrices of the two halves are multiplied, and their own norms bound
    the error.
    """
    products = [*accumulate(sigmas, multiply_up), *accumulate(sigmas[::-1], multiply_up)]
    # no product of the first constants, and none of the last ones, may underflow
    if not (min(products) > LEAST_CONSTANT and max(products) < math.inf):
        return None
    matrix = dense_matrix(graph, chain, source)
    # the product of the norms is finite, but elements of the matrix may overflow
    if matrix is None or not bool(matrix.isfinite().all()):
        return None
    error, middle = _ROUNDING * _product(sigmas), len(chain) // 2
    if not middle or error <= _SMALL * float(matrix.norm()):
        return matrix, error
    first = _matrix_and_error(graph, chain[:middle], source, sigmas[:middle])
    last = _matrix_and_error(graph, chain[middle:], chain[middle - 1], sigmas[middle:])
    if first is None or last is None:
        return matrix, error
    sizes = [float(half.norm()) * (1 + _ROUNDING) for half, _ in (first, last)]
    if not LEAST_CONSTANT < sizes[0] * sizes[1] < math.inf:
        return matrix, error
    spread = last[1] * (sizes[0] + first[1]) + sizes[1] * first[1]
    of_halves = (spread + _ROUNDING * sizes[0] * sizes[1]) * (1 + _ROUNDING)
    return (last[0] @ first[0], of_halves) if of_halves < error else (matrix, error)


def _product(sigmas: list[float]) -> float:
    return list(accumulate(sigmas, multiply_up))[-1]


def dense_matrix(graph: Graph, chain: Chain, source: Node) -> Tensor | None:
    """Return the matrix ``(outputs, inputs)`` of a chain on one sample; None if it is too large.

    Parameters
    ----------
    graph
        The recorded network.
    chain
        A chain of affine operations.
    source
        The node that the first operation of the chain reads.
    """
    start: Tensor = graph.values[source].detach().clone().requires_grad_()
    sizes = (graph.values[chain[-1]].numel(), start.numel())
    if min(sizes) > _MOST_PASSES or math.prod(sizes) > _MOST_ENTRIES:
        return None
    with torch.enable_grad():
        # autograd allows no operation in place on a leaf, so the chain gets a clone
        output: Tensor = graph.run(chain, {source: start.clone()})[chain[-1]]
        return jacobian(output, start) if output.requires_grad else None


def jacobian(output: Tensor, start: Tensor) -> Tensor:
    """Return the matrix of a linear map, computed by rows or by columns, whichever are fewer."""
    if output.numel() <= start.numel():
        return _gradient_rows(output, start)
    # Jᵀu is linear in u, so its gradients with respect to u are the columns of J
    u = torch.zeros_like(output, requires_grad=True)
    (jt_u,) = torch.autograd.grad(output, start, u, create_graph=True)
    return _gradient_rows(jt_u, u).t()


def _gradient_rows(output: Tensor, start: Tensor) -> Tensor:
    flat = output.flatten()
    rows = [
        torch.autograd.grad(flat, start, unit, retain_graph=True, is_grads_batched=True)[0]
        for unit in torch.eye(len(flat), dtype=flat.dtype, device=flat.device).split(_AT_ONCE)
    ]
    return torch.cat(rows).flatten(1)
