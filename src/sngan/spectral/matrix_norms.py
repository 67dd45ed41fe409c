"""Spectral norms and effective ranks of the kernels of any network, as matrices."""

import torch
from torch import Tensor, nn

from sngan.spectral.full_weight import full_matrix
from sngan.spectral.power_iteration import power_iteration
from sngan.utils.kernels import find_kernels


@torch.no_grad()
def spectral_norms(module: nn.Module, *, iterations: int = 20) -> dict[str, Tensor]:
    r"""Estimate ``{layer name: σ}``, the largest singular value of each layer's kernel matrix.

    The matrix is the kernel reshaped to ``(out_channels, in_channels·kh·kw)``, not the convolution
    as a linear map (:func:`sngan.operator_norm`). A layer that holds several matrices has a name
    for each, such as ``attention.query.0``. Sharded weights are gathered one after the other, so
    all ranks must call this.

    Power iteration (:math:`u \leftarrow Wv/\|Wv\|`, :math:`v \leftarrow W^\top u/\|W^\top u\|`,
    :math:`\sigma = \|W^\top u\|`) approaches σ from below. It starts from a fixed vector, so it
    draws no random numbers. It does not wait for the device.

    Parameters
    ----------
    module
        Any network. Weights that a parametrization computes are read as they are now.
    iterations
        Power iterations for each matrix.

    Returns
    -------
    dict
        A scalar for each matrix, in the dtype and on the device of its weight.

    Raises
    ------
    ValueError
        If the network has no layer with a matrix, or a weight is not float32 or float64.

    Examples
    --------
    >>> layer = nn.Linear(2, 2, bias=False)
    >>> _ = layer.weight.data.copy_(torch.tensor([[3.0, 0.0], [0.0, 1.0]]))
    >>> spectral_norms(nn.Sequential(layer))
    {'0': tensor(3.)}

    References
    ----------
    Miyato et al. 2018, arXiv:1802.05957.
    """
    norms: dict[str, Tensor] = {}
    for kernel in find_kernels(module, computed=True):
        matrix = full_matrix(kernel)
        # these numbers have no pattern, so that a kernel with some symmetry does not map them to 0
        u = torch.arange(kernel.rows, device=matrix.device, dtype=matrix.dtype).mul_(1.618).cos_()
        sigma, _, _ = power_iteration(matrix, u, iterations=iterations)
        norms.update((name, sigma.to(matrix.dtype)) for name in kernel.names)
    return norms


@torch.no_grad()
def effective_ranks(module: nn.Module, *, smallest: int = 1) -> dict[str, Tensor]:
    r"""Return ``{layer name: rank}``, a smooth count of each kernel matrix's singular values.

    The rank is :math:`(\sum_i \sigma_i^2)^2 / \sum_i \sigma_i^4`, the participation ratio of the
    squared singular values. It is n for n equal values, 1 for a matrix of rank 1, and at most the
    rank of the matrix. It needs no decomposition: with :math:`G = WW^\top` it is
    :math:`(\mathrm{tr}\,G)^2 / \|G\|_F^2`. Sharded weights are gathered one after the other, so all
    ranks must call this. It does not wait for the device.

    Parameters
    ----------
    module
        Any network. Weights that a parametrization computes are read as they are now.
    smallest
        Matrices with fewer rows or columns are left out.

    Returns
    -------
    dict
        A float32 scalar for each matrix, on the device of its weight; nan for a matrix of zeros.

    Raises
    ------
    ValueError
        If the network has no layer with a matrix.

    Examples
    --------
    >>> layer = nn.Linear(2, 2, bias=False)
    >>> _ = layer.weight.data.copy_(torch.tensor([[3.0, 0.0], [0.0, 3.0]]))
    >>> effective_ranks(nn.Sequential(layer))
    {'0': tensor(2.)}
    """
    ranks: dict[str, Tensor] = {}
    for kernel in find_kernels(module, computed=True):
        matrix = full_matrix(kernel).float()
        if min(matrix.shape) < smallest:
            continue
        # the fourth powers of large or small weights would leave the range of float32
        matrix = matrix / matrix.abs().max()
        gram = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
        rank = gram.trace().square() / gram.square().sum()
        ranks.update((name, rank) for name in kernel.names)
    return ranks
