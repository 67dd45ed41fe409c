"""Gram norm: a proved upper bound of a kernel's norm, computed again in each step."""

import torch
from torch import Tensor
from typing_extensions import override

from sngan.distributed import dtensor
from sngan.spectral.operator.geometry import Geometry
from sngan.spectral.operator.gram_bound import convolution_gram_bounds, gram_bound
from sngan.spectral.power_iteration import divided
from sngan.spectral.tracked_norms.base import TrackedNorm
from sngan.utils.kernels import Kernel


class GramNorm(TrackedNorm):
    """A proved upper bound of σ, by Gram iteration in each step (Delattre et al. 2023).

    It takes the place of σ in the change of coordinates: both are positively homogeneous functions
    of the weight, and autograd gives the derivative of the bound. ``u`` is the index of the
    frequency with the largest bound, because the derivative depends on this frequency alone.
    ``wt_u`` is the bound.
    """

    def __init__(self, kernel: Kernel, geometry: Geometry | None) -> None:
        super().__init__(kernel)
        self._geometry = geometry

    @override
    def start(self) -> tuple[Tensor, float]:
        weight = self.kernel.rows_of(dtensor.full_tensor(self.kernel.weight))
        index, bound = self.with_weight(weight).advance(weight, weight, iterations=1)
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
        # room for rounding to the weight's own precision, so that the result is still an upper
        # bound
        room = 1 + 2 * torch.finfo(weight.dtype).eps
        return index, (largest * room).to(weight.dtype)

    def _bounds(self, weight: Tensor, index: Tensor | None) -> Tensor:
        """The bounds at all frequencies, or at one of them; a matrix has a single bound."""
        if self._geometry is None:
            return gram_bound(self.kernel.matrix(weight).double()).view(1)
        return convolution_gram_bounds(weight.double(), self._geometry, index)
