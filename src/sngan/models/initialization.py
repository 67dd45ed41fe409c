"""Initialization of a network's layers by orthogonal matrices."""

import torch
from torch import nn


@torch.no_grad()
def orthogonalize(network: nn.Module) -> None:
    """Replace each kernel by a random one with orthonormal rows or columns, in place.

    The kernel is read as an ``(out_channels, in_channels·kh·kw)`` matrix W. Then ``W Wᵀ = I`` if W
    has no more rows than columns, else ``Wᵀ W = I``: all singular values are 1. Biases and
    the scales of normalization layers stay as they are. Sources: Saxe et al. 2014,
    arXiv:1312.6120; Brock et al. 2019, arXiv:1809.11096, section 3.

    Examples
    --------
    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    >>> orthogonalize(network)
    >>> kernel = network[0].weight.flatten(1)
    >>> torch.allclose(kernel @ kernel.t(), torch.eye(8), atol=1e-5)
    True
    """
    for layer in network.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            # its kernel has the input channels first, and orthogonal_ needs contiguous memory
            kernel = layer.weight.transpose(0, 1).contiguous()
            layer.weight.copy_(nn.init.orthogonal_(kernel).transpose(0, 1))
        elif isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding):
            nn.init.orthogonal_(layer.weight)
