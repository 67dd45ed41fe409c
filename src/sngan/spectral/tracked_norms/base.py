"""Tracked norms: the norm of a weight, followed from one optimizer step to the next."""

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor
from typing_extensions import override

from sngan.distributed import dtensor
from sngan.spectral.lanczos import leading_singular_vector
from sngan.spectral.power_iteration import accumulator, divided, length, power_steps
from sngan.utils.kernels import Kernel


class TrackedNorm(ABC):
    """A norm σ of one kernel. It keeps no state: the caller passes ``u`` from step to step.

    ``u`` is the tensor that the next step starts from: for power iteration, the left singular
    vector. ``wt_u`` is a tensor with ``σ = factor · ‖wt_u‖``: for power iteration, ``Wᵀu``. This
    form lets the caller compute the norms of many weights in one call.
    """

    def __init__(self, kernel: Kernel, *, factor: float = 1.0) -> None:
        self.kernel = kernel
        self.factor = factor

    @abstractmethod
    def start(self) -> tuple[Tensor, float]:
        """Return ``u`` and σ of the full weight, both converged, without random numbers."""

    @abstractmethod
    def project_(self, gradient: Tensor, u: Tensor, share: Tensor | None = None) -> Tensor:
        """``g −= ⟨g, W⟩/σ · ∂σ/∂W`` in place; return ``wt_u``.

        The result is the same for W and for each positive multiple of W. With a ``share``, only
        this fraction of the difference is subtracted.

        Parameters
        ----------
        gradient
            The gradient g of the weight W, which changes in place.
        u
            The tensor that the last step ended with.
        share
            The part of the difference that is subtracted, from 0 to 1; None means 1.
        """

    @abstractmethod
    def measure(self, u: Tensor) -> Tensor:
        """Return ``wt_u`` of the present weight."""

    @abstractmethod
    def advance(self, u: Tensor, wt_u: Tensor, *, iterations: int) -> tuple[Tensor, Tensor]:
        """Return ``u`` and ``wt_u`` of the present weight, found from those of an older one.

        Parameters
        ----------
        u
            The ``u`` of the older weight.
        wt_u
            Its ``wt_u``.
        iterations
            The number of power iterations.
        """

    def weight(self) -> Tensor:
        """The weight, detached; only the rows of this rank if it is sharded."""
        return self.kernel.rows_of(dtensor.local_tensor(self.kernel.weight))

    def gradient(self) -> Tensor | None:
        """The gradient of :meth:`weight`, a view; ``None`` if there is no gradient."""
        gradient = self.kernel.weight.grad
        return None if gradient is None else self.kernel.rows_of(dtensor.local_tensor(gradient))

    def with_weight(self, weight: Tensor) -> Self:
        """Return the same norm of another weight, a tensor of the kernel's own shape."""
        norm = copy.copy(self)
        norm.kernel = replace(self.kernel, weight=weight, row_range=None)
        return norm

    def radial(self, gradient: Tensor, share: Tensor | None = None) -> Tensor:
        """``⟨g, W⟩``, times the ``share`` if there is one.

        If the weight is sharded, the sum is over the rows of this rank. ``⟨g, W⟩`` is the component
        of the gradient along the weight.
        """
        # in the kernel's own column order both are views, for every memory format
        flat = self.kernel.matrix(gradient).reshape(-1)
        radial = flat.dot(self.kernel.matrix(self.weight()).reshape(-1))
        return radial if share is None else radial * share


class PowerIterationNorm(TrackedNorm):
    """A norm that :func:`~sngan.spectral.power_iteration.power_steps` estimates from below.

    A subclass defines the linear map W by :meth:`forward` and :meth:`adjoint`. ``u_axis`` is the
    dimension of ``u`` that belongs to dimension 0 of the weight.
    """

    u_axis: int

    @override
    def start(self) -> tuple[Tensor, float]:
        weight = self.kernel.rows_of(dtensor.full_tensor(self.kernel.weight))
        if not weight.numel():
            return weight.new_zeros(self.u_shape()), 0.0
        # a power of two rounds nothing; the scaled weight has no square that overflows or vanishes
        largest = weight.abs().max().item()
        if not math.isfinite(largest):
            return weight.new_zeros(self.u_shape()), largest
        exponent = math.frexp(largest)[1]
        scaled = self.with_weight(weight.to(accumulator(weight)) * 2.0**-exponent)
        # the seed is fixed, so that all ranks start with the same vector
        seeded = torch.Generator().manual_seed(0)
        noise = torch.randn(scaled.u_shape(), generator=seeded, device="cpu")
        start = noise.to(scaled.kernel.weight)
        u = leading_singular_vector(scaled.forward, scaled.adjoint, start=start)
        sigma = length(scaled.adjoint(u)).item()
        return u.to(weight), self.factor * math.ldexp(sigma, exponent)

    @override
    def project_(self, gradient: Tensor, u: Tensor, share: Tensor | None = None) -> Tensor:
        wt_u = self.adjoint(u)
        self.subtract_(gradient, u, wt_u=wt_u, radial=self.radial(gradient, share))
        return wt_u

    def subtract_(self, gradient: Tensor, u: Tensor, *, wt_u: Tensor, radial: Tensor) -> None:
        """``g −= ⟨g, W⟩/σ · ∂σ/∂W`` in place, for ``radial`` = ⟨g, W⟩.

        Parameters
        ----------
        gradient
            The gradient g, which changes in place.
        u
            The left singular vector.
        wt_u
            ``Wᵀu`` of the full weight.
        radial
            ⟨g, W⟩ of the full weight.
        """
        # σ = factor·‖wt_u‖, and ∂σ/∂W is factor times ∂⟨u, Wv⟩/∂W, so the factor cancels
        ratio = divided(radial, length(wt_u).square_(), 0.0)
        self.add_derivative_(gradient, u * ratio, wt_u, alpha=-1.0)

    @override
    def measure(self, u: Tensor) -> Tensor:
        return self.adjoint(u)

    @override
    def advance(self, u: Tensor, wt_u: Tensor, *, iterations: int) -> tuple[Tensor, Tensor]:
        return power_steps(self.forward, self.adjoint, u=u, wt_u=wt_u, iterations=iterations)

    @abstractmethod
    def can_be_split(self, rows: int) -> bool:
        """Whether slices along dimension 0 are enough; the shortest slice has ``rows`` rows."""

    @abstractmethod
    def u_shape(self) -> tuple[int, ...]:
        """The shape of ``u`` of the full weight."""

    @abstractmethod
    def forward(self, v: Tensor) -> Tensor:
        """``Wv``."""

    @abstractmethod
    def adjoint(self, u: Tensor) -> Tensor:
        """``Wᵀu``."""

    @abstractmethod
    def add_derivative_(self, tensor: Tensor, u: Tensor, v: Tensor, *, alpha: float) -> None:
        """``tensor += alpha · ∂⟨u, Wv⟩/∂W`` in place."""
