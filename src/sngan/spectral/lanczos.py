"""The leading singular vector of a linear map, converged: Lanczos iteration with restarts.

Golub, Van Loan: Matrix Computations, 4th edition, section 10.3 (Lanczos on ``W Wᵀ``).
"""

from collections.abc import Callable

import torch
from torch import Tensor

_STEPS = 40
_RESTARTS = 60
_RESIDUAL = 5e-7
_GAIN = 1e-9

Map = Callable[[Tensor], Tensor]


def leading_singular_vector(forward: Map, adjoint: Map, start: Tensor) -> Tensor:
    """Return the unit left singular vector ``u`` of the largest σ, shaped as ``start``.

    ``forward`` is ``y ↦ Wy``, ``adjoint`` is ``u ↦ Wᵀu``. ``σ = ‖Wᵀu‖`` grows towards the largest
    one, until ``‖WWᵀu − σ²u‖ ≤ 5e-7 σ²``, or another 40 products add less than 1e-9 of σ. Of a map
    that is zero, ``u`` is the direction of ``start``.
    """
    u, sigma = start / torch.linalg.vector_norm(start), 0.0
    for _ in range(_RESTARTS):
        before = sigma
        u = _lanczos(forward, adjoint, u)
        wt_u = adjoint(u)
        sigma = torch.linalg.vector_norm(wt_u).item()
        residual = torch.linalg.vector_norm(forward(wt_u) - sigma**2 * u).item()
        if residual <= _RESIDUAL * sigma**2 or sigma <= before * (1 + _GAIN):
            break
    return u


def _lanczos(forward: Map, adjoint: Map, u: Tensor) -> Tensor:
    """The best ``u`` in the Krylov space of ``W Wᵀ`` that starts at ``u``."""
    vectors, wt_vectors = [u.flatten()], [adjoint(u)]
    for _ in range(min(_STEPS, u.numel()) - 1):
        basis = torch.stack(vectors)
        product = forward(wt_vectors[-1]).flatten()
        size = torch.linalg.vector_norm(product)
        for _ in range(2):  # once leaves rounding errors that grow from step to step
            product = product - basis.t() @ (basis @ product)
        rest = torch.linalg.vector_norm(product)
        if rest <= torch.finfo(rest.dtype).eps * size:
            break  # the space holds all that can be reached
        vectors.append(product / rest)
        wt_vectors.append(adjoint(vectors[-1].view_as(u)))
    images = torch.stack([wt_vector.flatten() for wt_vector in wt_vectors])
    weights = torch.linalg.eigh(images @ images.t()).eigenvectors[:, -1]
    best = weights @ torch.stack(vectors)
    return (best / torch.linalg.vector_norm(best)).view_as(u)
