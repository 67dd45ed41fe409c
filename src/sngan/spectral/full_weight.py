"""Full weight of a layer: a sharded weight is gathered inside a ``with`` block."""

# torch has no public way to replace a parameter and put it back
# pyright: reportPrivateUsage=false

from collections.abc import Generator
from contextlib import contextmanager

from torch import nn

from sngan.distributed import dtensor
from sngan.spectral.kernels import Kernel


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
