"""Lanczos iteration: the leading singular vector of a linear map, converged.

Power iteration would need many more products for the same accuracy. Source: Golub, Van Loan: Matrix
Computations, 4th edition, section 10.3 (Lanczos on ``W Wᵀ``); the restarts are added.
"""

import torch
from torch import Tensor

from sngan.spectral.power_iteration import LinearFunction

_STEPS = 40
_RESTARTS = 60
_RESIDUAL = 5e-7
_GAIN = 1e-9
_ROUNDING = 32


def leading_singular_vector(
    forward: LinearFunction, adjoint: LinearFunction, *, start: Tensor
) -> Tensor:
    """Return the unit left singular vector ``u`` of the largest σ, in the shape of ``start``.

    It stops when ``‖WWᵀu − σ²u‖ ≤ 5e-7 σ²`` for ``σ = ‖Wᵀu‖``, or when 40 more products raise σ by
    less than a factor of 1 + 1e-9. If the map is zero, it returns ``start/‖start‖``.

    Parameters
    ----------
    forward
        ``v ↦ Wv``.
    adjoint
        ``u ↦ Wᵀu``.
    start
        A vector that is not orthogonal to the result, such as a random one.
    """
    u, sigma = start / torch.linalg.vector_norm(start), 0.0
    for _ in range(_RESTARTS):
        before = sigma
        u = _lanczos(forward, adjoint, start=u)
        wt_u = adjoint(u)
        sigma = torch.linalg.vector_norm(wt_u).item()
        residual = torch.linalg.vector_norm(forward(wt_u) - sigma**2 * u).item()
        if residual <= _RESIDUAL * sigma**2 or sigma <= before * (1 + _GAIN):
            break
    return u


def _lanczos(forward: LinearFunction, adjoint: LinearFunction, *, start: Tensor) -> Tensor:
    """The best ``u`` in the Krylov space of ``W Wᵀ`` that begins with ``start``."""
    vectors, wt_vectors = [start.flatten()], [adjoint(start)]
    for _ in range(min(_STEPS, start.numel()) - 1):
        basis = torch.stack(vectors)
        product = forward(wt_vectors[-1]).flatten()
        size = torch.linalg.vector_norm(product)
        for _ in range(2):  # orthogonalizing once leaves rounding errors that grow with each step
            product = product - basis.t() @ (basis @ product)
        rest = torch.linalg.vector_norm(product)
        # W Wᵀ maps the space into itself, so no further vector can be reached. A direction of
        # rounding errors would decide between the vectors of a σ that occurs more than once
        if rest <= _ROUNDING * torch.finfo(rest.dtype).eps * size:
            break
        vectors.append(product / rest)
        wt_vectors.append(adjoint(vectors[-1].view_as(start)))
    wt_basis = torch.stack([wt_vector.flatten() for wt_vector in wt_vectors])
    weights = torch.linalg.eigh(wt_basis @ wt_basis.t()).eigenvectors[:, -1]
    best = weights @ torch.stack(vectors)
    return (best / torch.linalg.vector_norm(best)).view_as(start)
