"""Double backward through operations whose fast kernels have only a first derivative."""

from contextlib import AbstractContextManager
from typing import Any

from torch.nn.attention import SDPBackend, sdpa_kernel


def twice_differentiable() -> AbstractContextManager[Any]:
    """Return a context for a forward pass whose gradients will be differentiated again.

    Inside it ``scaled_dot_product_attention``, and with it ``nn.MultiheadAttention`` and the
    transformer layers, use torch's math kernel: the other kernels have no second derivative.
    """
    return sdpa_kernel(SDPBackend.MATH)
