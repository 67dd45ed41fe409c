"""Published bounds of a convolution's norm, which `operator_norms.py` compares with sngan's.

Each function takes a layer and the shape of its input.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sngan.spectral.operator.gram_bound import gram_bound


def reshaped(layer: nn.Module, shape: tuple[int, ...]) -> float:
    """The divisor of spectral normalization in Miyato et al. 2018; it bounds nothing."""
    weight = layer.weight.detach().double()
    rows = weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
    return float(torch.linalg.matrix_norm(rows.flatten(1), 2))


def four_bounds(layer: nn.Module, shape: tuple[int, ...]) -> float:
    """Singla, Feizi 2021, arXiv:1911.10258: √(kh·kw) times the least norm of four unfoldings."""
    weight = layer.weight.detach().double()
    o, i, h, w = weight.shape
    unfolded = [
        weight.permute(0, 2, 1, 3).reshape(o * h, i * w),
        weight.permute(0, 3, 1, 2).reshape(o * w, i * h),
        weight.reshape(o, i * h * w),
        weight.permute(0, 2, 3, 1).reshape(o * h * w, i),
    ]
    least = min(float(torch.linalg.matrix_norm(matrix, 2)) for matrix in unfolded)
    return (h * w) ** 0.5 * least


def fourier_grid(layer: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """Kernels at the frequencies of the input's own size, as if circular and of stride 1."""
    weight = layer.weight.detach().double()
    n = shape[1:] if not isinstance(layer, nn.ConvTranspose2d) else [2 * s for s in shape[1:]]
    return torch.fft.rfft2(weight, s=tuple(n)).permute(2, 3, 0, 1)


def sedghi(layer: nn.Module, shape: tuple[int, ...]) -> float:
    """Sedghi, Gupta, Long 2019, arXiv:1805.10408: exact for circular convolutions of stride 1."""
    return float(torch.linalg.matrix_norm(fourier_grid(layer, shape), 2).max())


def delattre_2023(layer: nn.Module, shape: tuple[int, ...]) -> float:
    """Gram iteration on that grid, arXiv:2305.16173, 5 iterations."""
    return float(gram_bound(fourier_grid(layer, shape), iterations=5).max())


def delattre_2024(layer: nn.Module, shape: tuple[int, ...]) -> float:
    """Gram iteration of the kernel in space, arXiv:2402.00240, 3 iterations, for zero padding.

    The last Gram matrix is symmetric, so its largest row sum bounds its norm whatever the size.
    """
    kernel = layer.weight.detach().double()
    logarithm, iterations = 0.0, 3
    for iteration in range(iterations):
        size = torch.linalg.vector_norm(kernel)
        logarithm += float(size.log()) * 0.5**iteration
        kernel = (kernel / size).transpose(0, 1)
        full = [length - 1 for length in kernel.shape[2:]]
        kernel = F.conv2d(kernel, kernel, padding=full)
    rows = kernel.abs().sum((1, 2, 3)).max()
    return float(np.exp(logarithm + float(rows.log()) * 0.5**iterations))
