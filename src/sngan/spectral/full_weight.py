"""Full weights: sharded weights that are gathered from all ranks, as matrices or in their layer."""

# torch has no public way to replace a parameter and put it back
# pyright: reportPrivateUsage=false

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sngan.distributed import dtensor
from sngan.utils.kernels import Kernel


def full_matrix(kernel: Kernel) -> Tensor:
    """The matrix of the kernel's present weight; a sharded weight is gathered for it."""
    return kernel.matrix(kernel.rows_of(dtensor.full_tensor(kernel.weight)))


def singular_values(kernel: Kernel) -> Tensor:
    """The singular values of :func:`full_matrix`, largest first."""
    return torch.linalg.svdvals(full_matrix(kernel))


@contextmanager
def full_weight(layer: nn.Module, kernel: Kernel) -> Generator[nn.Module]:
    """Yield the layer with its full weight; it gathers a sharded weight for the ``with`` block."""
    parameters = layer._parameters
    if dtensor.is_sharded(kernel.weight):
        weight = nn.Parameter(dtensor.full_tensor(kernel.weight))
        layer._parameters = {**parameters, "weight": weight}
    try:
        yield layer
    finally:
        layer._parameters = parameters
