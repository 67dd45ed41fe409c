"""Spectral norms of the kernels of any network, estimated by power iteration."""

import torch
from torch import Tensor, nn

from sngan.distributed import dtensor
from sngan.spectral.kernels import find_kernels


@torch.no_grad()
def spectral_norms(module: nn.Module, *, iterations: int = 20) -> dict[str, Tensor]:
    """Estimate ``{layer name: σ}``, the largest singular value of each layer's kernel matrix.

    A layer with several matrices has a name for each, such as ``attention.query.0``.

    Power iteration, ``v = Wᵀu/‖Wᵀu‖``, ``u = Wv/‖Wv‖``, ``σ = ‖Wᵀu‖``, approaches σ from below.
    It starts from a fixed vector, so it never touches a random number generator, and it does
    not wait for the device. The matrix is the kernel's ``(out_channels, in_channels·kh·kw)``
    form (Miyato et al. 2018, arXiv:1802.05957), not the convolution as a linear map. Sharded
    weights are gathered, one after the other; all ranks call it.
    """
    norms: dict[str, Tensor] = {}
    for kernel in find_kernels(module, computed=True):
        matrix = kernel.matrix(kernel.rows_of(dtensor.full_tensor(kernel.weight)))
        # an irrational phase keeps the fixed start away from symmetric kernels' null spaces
        u = torch.arange(kernel.rows, device=matrix.device, dtype=matrix.dtype).mul_(1.618).cos_()
        for _ in range(iterations):
            u = nn.functional.normalize(matrix.mv(matrix.t().mv(u)), dim=0)
        sigma = torch.linalg.vector_norm(matrix.t().mv(u))
        norms.update((name, sigma) for name in kernel.names)
    return norms
