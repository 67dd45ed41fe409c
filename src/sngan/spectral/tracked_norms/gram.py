"""A guaranteed upper bound of a kernel's norm, computed again in each step."""

import torch
from torch import Tensor
from typing_extensions import override

from sngan.distributed import dtensor
from sngan.spectral.kernels import Kernel
from sngan.spectral.operator.geometry import Geometry
from sngan.spectral.operator.norm import convolution_gram_bounds, gram_bound
from sngan.spectral.tracked_norms.base import TrackedNorm, divided


class GramNorm(TrackedNorm):
    """A guaranteed upper bound of σ, by Gram iteration in each step (Delattre et al. 2023).

    A positively homogeneous function of the weight, so the change of coordinates holds for it as
    for σ, with its own derivative. ``u`` is the index of the frequency with the largest bound, on
    which alone the derivative depends.
    """

    def __init__(self, kernel: Kernel, geometry: Geometry | None) -> None:
        super().__init__(kernel)
        self._geometry = geometry

    @override
    def start(self) -> tuple[Tensor, float]:
        weight = self.kernel.rows_of(dtensor.full_tensor(self.kernel.weight))
        index, bound = self.on(weight).advance(weight, weight, iterations=1)
        return index, bound.item()

    @override
    def project_(self, gradient: Tensor, u: Tensor, share: Tensor | None = None) -> Tensor:
        with torch.enable_grad():
            weight = self.weight().requires_grad_()
            bound = self._bounds(weight, u)
            (derivative,) = torch.autograd.grad(bound.sum(), weight)
        wt_u = bound.detach()
        gradient.sub_(derivative * divided(self.radial(gradient, share), wt_u, 0.0))
        return wt_u

    @override
    def measure(self, u: Tensor) -> Tensor:
        return self._bounds(self.weight(), u)

    @override
    def advance(self, u: Tensor, wt_u: Tensor, *, iterations: int) -> tuple[Tensor, Tensor]:
        weight = self.weight()
        largest, index = self._bounds(weight, None).max(0, keepdim=True)
        # rounded up to the weight's own precision
        room = 1 + 2 * torch.finfo(weight.dtype).eps
        return index, (largest * room).to(weight.dtype)

    def _bounds(self, weight: Tensor, index: Tensor | None) -> Tensor:
        """The bound at each frequency, or at one; of a matrix there is one only."""
        if self._geometry is None:
            return gram_bound(self.kernel.matrix(weight).double()).view(1)
        return convolution_gram_bounds(weight.double(), self._geometry, index)
