"""Separable layers: their norm is the product of one matrix norm for each dimension."""

import torch
from torch import Tensor, nn

from sngan.spectral.operator.geometry import Sizes
from sngan.spectral.operator.linear_map import linear_map


def largest_singular_value(matrix: Tensor) -> Tensor:
    """The largest singular value of a matrix, from the eigenvalues of its smaller Gram matrix."""
    if matrix.numel() == 0:
        return matrix.new_zeros(())
    gram = matrix @ matrix.t() if matrix.shape[0] <= matrix.shape[1] else matrix.t() @ matrix
    return torch.linalg.eigvalsh(gram)[-1].clamp_min(0.0).sqrt()


def separable_norm(layer: nn.Module, input_shape: Sizes) -> Tensor:
    """The norm of ``T = A_1 ⊗ … ⊗ A_d``: the product of the norms of the ``A_j``.

    Let t be the largest entry of ``T(1 ⊗ … ⊗ 1)``, at the place m. The entries of
    ``T(1 ⊗ e_i ⊗ 1)`` on the line through m along dimension j are ``A_j e_i`` times a number. The
    product of these numbers over all j is ``t^{d−1}``.
    """
    linear = linear_map(layer, (1, *input_shape[1:]))
    ones = torch.ones_like(linear.zeros())
    response = linear.forward(ones)[0, 0]
    place = [int(index) for index in torch.unravel_index(response.abs().argmax(), response.shape)]
    norm = response[tuple(place)].abs() ** (1 - len(place))
    for axis, length in enumerate(input_shape[1:]):
        probe = torch.eye(length, dtype=torch.float64, device="cpu")
        probe = probe.view(length, 1, *[length if a == axis else 1 for a in range(len(place))])
        outputs = linear.forward(probe * ones)[:, 0]
        norm = norm * largest_singular_value(
            outputs[(slice(None), *place[:axis], slice(None), *place[axis + 1 :])]
        )
    return norm
