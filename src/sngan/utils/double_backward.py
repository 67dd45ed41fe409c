"""Second derivatives through operations whose fast kernels have only a first one."""

from contextlib import AbstractContextManager
from typing import Any

from torch.nn.attention import SDPBackend, sdpa_kernel


def twice_differentiable() -> AbstractContextManager[Any]:
    """A context for a forward pass whose gradients will be differentiated again.

    ``scaled_dot_product_attention``, and so ``nn.MultiheadAttention`` and the transformer layers,
    use torch's math kernel inside it: the other kernels have no second derivative.
    """
    return sdpa_kernel(SDPBackend.MATH)
