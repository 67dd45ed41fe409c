"""Gram iteration: differentiable upper bounds of the norms of matrices and of convolutions."""

import torch
from torch import Tensor

from sngan.spectral.operator.geometry import Geometry
from sngan.spectral.operator.symbol import ROUNDING, grid, torus_symbol

_ITERATIONS = 6


def gram_bound(matrices: Tensor, *, iterations: int = _ITERATIONS) -> Tensor:
    """``‖(K K*)^{2^t}‖_F^{1/2^{t+1}} ≥ ‖K‖₂`` of matrices ``(..., rows, columns)``.

    The bound exceeds the norm by a factor of at most ``min(rows, columns)^{1/2^{t+2}}``. The
    matrices are scaled in every iteration, so that nothing overflows. Source: Delattre et al. 2023,
    arXiv:2305.16173.
    """
    scale = matrices.abs().amax((-2, -1), keepdim=True)
    scale = scale.clamp_min(torch.finfo(scale.dtype).tiny)
    matrices = matrices / scale
    wide = matrices.shape[-2] <= matrices.shape[-1]
    gram = matrices @ matrices.mH if wide else matrices.mH @ matrices
    logarithm = scale[..., 0, 0].log()
    for iteration in range(iterations + 1):
        size = _frobenius(gram)
        logarithm = logarithm + size[..., 0, 0].log() * 0.5 ** (iteration + 1)
        if iteration < iterations:
            gram = gram / size
            gram = gram @ gram
    return logarithm.exp()


def convolution_gram_bounds(
    weight: Tensor, geometry: Geometry, index: Tensor | None = None
) -> Tensor:
    """Differentiable bounds ``(frequencies,)``, one for each frequency of a small torus.

    The largest of them is an upper bound of the convolution's norm. With an ``index``, only the
    bounds at these frequencies are computed.

    Parameters
    ----------
    weight
        The weight of a convolution, or of a transposed one.
    geometry
        The convolution without its weight.
    index
        The positions of frequencies on the grid of the torus; None means all of them.
    """
    torus = geometry.small_torus()
    frequencies = grid(torus.sides).to(weight.device)
    if index is not None:
        frequencies = frequencies[index]
    matrices = torus_symbol(weight, geometry, torus).matrices(frequencies)
    return gram_bound(matrices).amax(1) * (torus.factor * ROUNDING)


def _frobenius(matrices: Tensor) -> Tensor:
    norms = torch.linalg.matrix_norm(matrices, keepdim=True)
    return norms.clamp_min(torch.finfo(norms.dtype).tiny)
