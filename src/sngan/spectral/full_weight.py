"""A layer with its whole weight, for as long as a sharded one is read."""

# torch has no public way to exchange a parameter for a while
# pyright: reportPrivateUsage=false

from collections.abc import Generator
from contextlib import contextmanager

from torch import nn

from sngan.distributed import dtensor
from sngan.spectral.kernels import Kernel


@contextmanager
def full_weight(layer: nn.Module, kernel: Kernel) -> Generator[nn.Module]:
    """A layer that has its whole weight for a while."""
    parameters = layer._parameters
    if dtensor.is_sharded(kernel.weight):
        weight = nn.Parameter(dtensor.full_tensor(kernel.weight))
        layer._parameters = {**parameters, "weight": weight}
    try:
        yield layer
    finally:
        layer._parameters = parameters
