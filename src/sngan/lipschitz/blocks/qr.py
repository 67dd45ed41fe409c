"""Orthonormal rows: the Q factor of a matrix, in O(rows² · columns), with a cheap gradient."""

# autograd.Function passes its context without a type
# pyright: reportUnknownMemberType=false

from typing import Any

import torch
from torch import Tensor, nn

# keeps the Gram matrix of zeros definite, and is small enough for a square root in float32
_LEAST = 1e-60


def orthonormal(matrix: Tensor) -> Tensor:
    r"""Return :math:`Q = L^{-1} W` with orthonormal rows or columns, whichever are fewer.

    For a wide W, L is the Cholesky factor of the Gram matrix :math:`W W^\top`; so Q has the span of
    W's rows and is the factor of its QR decomposition. For a tall W it is the transpose of the
    result for the transpose. The arithmetic is float64, since the Gram matrix squares the condition
    number. A tiny multiple of the identity is added to the Gram matrix. So :math:`\|Q\|_2 \le 1`
    for every W, and dependent rows give shorter rows instead of an error.

    ``(*, rows, columns) → (*, rows, columns)``, in the dtype of ``matrix``. The gradient takes five
    products of small matrices with W.

    Source: Fukaya et al. 2020, DOI 10.1137/18M1218212 (shifted CholeskyQR); Boissin et al. 2025,
    arXiv:2501.07930, use the Cholesky factor in layers.

    Examples
    --------
    >>> q = orthonormal(torch.tensor([[3.0, 4.0, 0.0], [1.0, 1.0, 1.0]]))
    >>> torch.allclose(q @ q.mT, torch.eye(2), atol=1e-6)
    True
    """
    if matrix.shape[-2] > matrix.shape[-1]:
        return orthonormal(matrix.mT).mT
    found: tuple[Tensor, Tensor] = _Orthonormal.apply(matrix)  # pyright: ignore[reportAssignmentType]
    return found[0]


class Orthonormal(nn.Module):
    """Parametrization by :func:`orthonormal`: an assigned weight is replaced by its Q factor."""

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight of the layer."""
        return orthonormal(weight)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the free parameter that gives an orthogonal weight: the weight itself."""
        return weight


def _inverse_factor(wide: Tensor) -> Tensor:
    """Return L⁻¹ for a matrix in float64."""
    gram = wide @ wide.mT
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    # above the rounding of the products, so that the sum is definite also for dependent rows
    shift = torch.finfo(gram.dtype).eps * sum(wide.shape[-2:])
    shift = shift * diagonal.sum(-1, keepdim=True) + _LEAST
    factor = torch.linalg.cholesky_ex(gram + torch.diag_embed(shift.expand_as(diagonal))).L
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    return torch.linalg.solve_triangular(factor, eye, upper=False)


class _Orthonormal(torch.autograd.Function):
    """The Q factor and L⁻¹; autograd of the Cholesky factor would take twice the time.

    With ``dW = L Y``, the differential is ``dQ = Y − low(YQᵀ + QYᵀ) Q``, where ``low`` keeps the
    lower triangle and half of the diagonal.
    """

    @staticmethod
    def forward(matrix: Tensor) -> tuple[Tensor, Tensor]:
        wide = matrix.double()
        inverse = _inverse_factor(wide)
        return (inverse @ wide).to(matrix.dtype), inverse.to(matrix.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(inputs[0], *output)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Tensor:
        matrix, q, inverse = ctx.saved_tensors
        grad = grad_outputs[0]
        with torch.autocast(grad.device.type, enabled=False):
            if torch.is_grad_enabled():
                # a gradient of the gradient is wanted, so the graph must lead back to the matrix
                wide = matrix.double()
                inverse = _inverse_factor(wide)
                q = (inverse @ wide).to(matrix.dtype)
                inverse = inverse.to(matrix.dtype)
            low = (grad @ q.mT).tril()
            low = low - 0.5 * torch.diag_embed(low.diagonal(dim1=-2, dim2=-1))
            return inverse.mT @ (grad - (low + low.mT) @ q)
