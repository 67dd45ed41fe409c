"""Power iteration: estimates the largest singular value of a matrix or of a linear map."""

from collections.abc import Callable

import torch
from torch import Tensor

LinearFunction = Callable[[Tensor], Tensor]


def power_iteration(w: Tensor, u: Tensor, *, iterations: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    r"""Estimate the largest singular value of a matrix, and its two singular vectors.

    It starts at :math:`v = W^\top u` and repeats

    .. math:: u \leftarrow Wv/\|Wv\|, \qquad v \leftarrow W^\top u/\|W^\top u\|.

    At the end :math:`\sigma = \|W^\top u\|`. It is at most the largest singular value, and it grows
    towards it from iteration to iteration, unless ``u`` starts orthogonal to the leading vector.

    Parameters
    ----------
    w
        The matrix W, ``(rows, columns)``.
    u
        The first vector, ``(rows,)``: a random one, or the result of an earlier call.
    iterations
        The number of iterations. Each multiplies once by W and once by Wᵀ.

    Returns
    -------
    tuple
        ``(σ, u, v)``: a scalar in float64 (in the dtype of ``w`` on devices without float64), the
        unit left singular vector ``(rows,)``, and the unit right one ``(columns,)``. For ``W = 0``
        they are 0, the ``u`` that was given, and 0.

    Examples
    --------
    >>> w = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    >>> sigma, u, v = power_iteration(w, torch.tensor([1.0, 1.0]), iterations=10)
    >>> round(sigma.item(), 6)
    3.0
    >>> torch.allclose(w @ v, sigma.float() * u, atol=1e-6)
    True

    References
    ----------
    Golub, Van Loan: Matrix Computations, 4th edition, section 7.3.1. Miyato et al. 2018,
    arXiv:1802.05957, algorithm 1.
    """
    wt_u = w.t().mv(u)
    if iterations > 0:
        # v has length one, so that no product overflows or vanishes
        v = unit(wt_u, wt_u)
        u, wt_u = power_steps(w.mv, w.t().mv, u=u, wt_u=v, iterations=iterations)
    sigma = length(wt_u)
    return sigma, u, divided(wt_u, sigma, 0.0)


def power_steps(
    forward: LinearFunction, adjoint: LinearFunction, *, u: Tensor, wt_u: Tensor, iterations: int
) -> tuple[Tensor, Tensor]:
    """Return ``u`` and ``wt_u = Wᵀu`` after some power iterations of any linear map W.

    Parameters
    ----------
    forward
        ``v ↦ Wv``, for vectors of any shape.
    adjoint
        ``u ↦ Wᵀu``.
    u
        The result of the last call, which is kept if the map is zero.
    wt_u
        The first v, of any length. It may belong to a slightly older W.
    iterations
        The number of iterations.
    """
    for iteration in range(iterations):
        v = wt_u if iteration == 0 else unit(wt_u, wt_u)
        # if the map is zero, u stays as it is
        u = unit(forward(v), u)
        wt_u = adjoint(u)
    return u, wt_u


def unit(vector: Tensor, otherwise: Tensor) -> Tensor:
    """``x/‖x‖`` over all dimensions; ``otherwise`` if ``x`` is zero."""
    return divided(vector, length(vector), otherwise)


def divided(tensor: Tensor, size: Tensor, otherwise: Tensor | float) -> Tensor:
    """``x/size``; ``otherwise`` if the size is zero."""
    return torch.where(size > 0, tensor / size, otherwise)


def length(vector: Tensor) -> Tensor:
    """``‖x‖`` over all dimensions, in a precision in which no square overflows or vanishes."""
    return torch.linalg.vector_norm(vector, dtype=accumulator(vector))


def accumulator(tensor: Tensor) -> torch.dtype:
    """The dtype in which norms are summed: float64, if the device has it."""
    return tensor.dtype if tensor.device.type == "mps" else torch.float64
