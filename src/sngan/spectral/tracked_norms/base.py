"""The norm of a kernel, followed from step to step; power iteration on its matrix."""

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor
from typing_extensions import override

from sngan.distributed import dtensor
from sngan.spectral.kernels import Kernel
from sngan.spectral.lanczos import leading_singular_vector


class TrackedNorm(ABC):
    """A norm σ of one kernel, with the tensor ``u`` that it carries on from step to step.

    ``wt_u`` is a tensor with ``σ = factor · ‖wt_u‖``, so that many norms are taken in one call:
    ``Wᵀu`` for power iteration.
    """

    def __init__(self, kernel: Kernel, *, factor: float = 1.0) -> None:
        self.kernel = kernel
        self.factor = factor

    @abstractmethod
    def start(self) -> tuple[Tensor, float]:
        """Return ``u`` and σ of the whole weight, both converged; no random state is used."""

    @abstractmethod
    def project_(self, gradient: Tensor, u: Tensor, share: Tensor | None = None) -> Tensor:
        """``g −= ⟨g, W⟩/σ · ∂σ/∂W`` in place; return ``wt_u``. The size of W does not matter.

        Where a ``share`` is given, that part of the difference only.
        """

    @abstractmethod
    def measure(self, u: Tensor) -> Tensor:
        """Return ``wt_u`` of the weight as it is."""

    @abstractmethod
    def advance(self, u: Tensor, wt_u: Tensor, *, iterations: int) -> tuple[Tensor, Tensor]:
        """Follow the weight to where it is now: return the new ``u`` and ``wt_u``."""

    def weight(self) -> Tensor:
        """The weight, or this rank's part of a sharded one, outside of any graph."""
        return self.kernel.rows_of(dtensor.local_tensor(self.kernel.weight))

    def gradient(self) -> Tensor | None:
        """The gradient at :meth:`weight`, a view; ``None`` where the weight has none."""
        gradient = self.kernel.weight.grad
        return None if gradient is None else self.kernel.rows_of(dtensor.local_tensor(gradient))

    def on(self, weight: Tensor) -> Self:
        """Return the same norm of another weight."""
        norm = copy.copy(self)
        norm.kernel = replace(self.kernel, weight=weight, row_range=None)
        return norm

    def radial(self, gradient: Tensor, share: Tensor | None = None) -> Tensor:
        """``⟨g, W⟩``, of this rank's part, or that share of it."""
        # in the kernel's own order both are views, whatever their memory format
        flat = self.kernel.matrix(gradient).reshape(-1)
        radial = flat.dot(self.kernel.matrix(self.weight()).reshape(-1))
        return radial if share is None else radial * share


class PowerIterationNorm(TrackedNorm):
    """σ by power iteration: ``u ← Wv/‖Wv‖``, ``v ← Wᵀu/‖Wᵀu‖``, ``σ = ‖Wᵀu‖``, from below.

    ``axis`` is the dimension of ``u`` that belongs to dimension 0 of the weight.
    """

    axis: int

    @override
    def start(self) -> tuple[Tensor, float]:
        weight = self.kernel.rows_of(dtensor.full_tensor(self.kernel.weight))
        if not weight.numel():
            return weight.new_zeros(self.vector_shape()), 0.0
        # a power of two, which rounds nothing, keeps squares in range
        largest = weight.abs().max().item()
        if not math.isfinite(largest):
            return weight.new_zeros(self.vector_shape()), largest
        exponent = math.frexp(largest)[1]
        scaled = self.on(weight.to(accumulator(weight)) * 2.0**-exponent)
        # from a fixed seed, so that all ranks start alike
        seeded = torch.Generator().manual_seed(0)
        noise = torch.randn(scaled.vector_shape(), generator=seeded, device="cpu")
        u = leading_singular_vector(scaled.forward, scaled.adjoint, noise.to(scaled.kernel.weight))
        sigma = length(scaled.adjoint(u)).item()
        return u.to(weight), self.factor * math.ldexp(sigma, exponent)

    @override
    def project_(self, gradient: Tensor, u: Tensor, share: Tensor | None = None) -> Tensor:
        wt_u = self.adjoint(u)
        self.subtract_(gradient, u, wt_u, radial=self.radial(gradient, share))
        return wt_u

    def subtract_(self, gradient: Tensor, u: Tensor, wt_u: Tensor, *, radial: Tensor) -> None:
        """``g −= ⟨g, W⟩/σ · ∂σ/∂W`` in place, for ``radial`` = ⟨g, W⟩."""
        # σ = factor·‖wt_u‖ and ∂σ/∂W is that of ⟨u, Wv⟩ times the factor, which cancels
        ratio = divided(radial, length(wt_u).square_(), 0.0)
        self.add_derivative_(gradient, u * ratio, wt_u, alpha=-1.0)

    @override
    def measure(self, u: Tensor) -> Tensor:
        return self.adjoint(u)

    @override
    def advance(self, u: Tensor, wt_u: Tensor, *, iterations: int) -> tuple[Tensor, Tensor]:
        for iteration in range(iterations):
            v = wt_u if iteration == 0 else unit(wt_u, wt_u)
            # where the weight is zero, u stays what it is
            u = unit(self.forward(v), u)
            wt_u = self.adjoint(u)
        return u, wt_u

    @abstractmethod
    def splits(self, rows: int) -> bool:
        """Whether parts of ``rows`` or more entries of dimension 0 map each by itself."""

    @abstractmethod
    def vector_shape(self) -> tuple[int, ...]:
        """The shape of ``u`` of the whole weight."""

    @abstractmethod
    def forward(self, wt_u: Tensor) -> Tensor:
        """``W·wt_u``."""

    @abstractmethod
    def adjoint(self, u: Tensor) -> Tensor:
        """``Wᵀu``."""

    @abstractmethod
    def add_derivative_(self, tensor: Tensor, u: Tensor, wt_u: Tensor, *, alpha: float) -> None:
        """``tensor += alpha · ∂⟨u, W·wt_u⟩/∂W`` in place."""


class MatrixNorm(PowerIterationNorm):
    """The spectral norm of the reshaped kernel: ``∂σ/∂W = uvᵀ`` (Miyato et al. 2018)."""

    axis = 0

    @override
    def splits(self, rows: int) -> bool:
        return self.kernel.row_dim == 0 and self.kernel.row_range is None

    @override
    def vector_shape(self) -> tuple[int, ...]:
        return (self.kernel.rows,)

    @override
    def forward(self, wt_u: Tensor) -> Tensor:
        return self.kernel.matrix(self.weight()).mv(wt_u)

    @override
    def adjoint(self, u: Tensor) -> Tensor:
        return self.kernel.matrix(self.weight()).t().mv(u)

    @override
    def add_derivative_(self, tensor: Tensor, u: Tensor, wt_u: Tensor, *, alpha: float) -> None:
        self.kernel.add_outer_(tensor, u, wt_u, alpha=alpha)


def unit(vector: Tensor, otherwise: Tensor) -> Tensor:
    """``x/‖x‖`` over all dimensions; something else where ``x`` is zero."""
    return divided(vector, length(vector), otherwise)


def divided(tensor: Tensor, size: Tensor, otherwise: Tensor | float) -> Tensor:
    """``x/size``; something else where the size is zero."""
    return torch.where(size > 0, tensor / size, otherwise)


def length(vector: Tensor) -> Tensor:
    """``‖x‖`` over all dimensions, in a precision in which no square leaves the range."""
    return torch.linalg.vector_norm(vector, dtype=accumulator(vector))


def accumulator(tensor: Tensor) -> torch.dtype:
    """float64, where the device has it."""
    return tensor.dtype if tensor.device.type == "mps" else torch.float64
