"""How a kernel's norm is followed from step to step: power iteration, or a guaranteed bound."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import grad as derivatives
from typing_extensions import override

from sngan import _shards as shards
from sngan.spectral.geometry import Geometry
from sngan.spectral.kernels import Kernel
from sngan.spectral.operator import convolution_gram_bounds, gram_bound

_TRACE = 1e-15


class Norm(ABC):
    """A norm σ of one kernel, with what it carries on from step to step in a tensor ``u``.

    ``image`` is a tensor with ``σ = factor · ‖image‖``, so that many norms are taken in one call.
    """

    def __init__(self, kernel: Kernel, *, factor: float = 1.0) -> None:
        self.kernel = kernel
        self.factor = factor

    @abstractmethod
    def start(self) -> tuple[Tensor, Tensor]:
        """A random ``u`` and its image."""

    @abstractmethod
    def project_(self, gradient: Tensor, u: Tensor, *, coefficient: float) -> Tensor:
        """``g −= ⟨g, W̄⟩/c · ∂σ/∂W`` in place, at ``σ(W̄) = c``; return the image of ``u``."""

    @abstractmethod
    def advance(self, u: Tensor, image: Tensor, *, iterations: int) -> tuple[Tensor, Tensor]:
        """Follow the weight to where it is now: the new ``u`` and its image."""

    def weight(self) -> Tensor:
        """The weight, or this rank's part of a sharded one, outside of any graph."""
        return shards.part(self.kernel.weight)

    def radial(self, gradient: Tensor) -> Tensor:
        """``⟨g, W̄⟩``, of this rank's part."""
        # in the kernel's own order both are views, whatever their memory format
        flat = self.kernel.matrix(gradient).reshape(-1)
        return flat.dot(self.kernel.matrix(self.weight()).reshape(-1))


class PowerIteration(Norm):
    """σ by power iteration: ``u ← Wv/‖Wv‖``, ``v ← Wᵀu/‖Wᵀu‖``, ``σ = ‖Wᵀu‖``, from below.

    ``axis`` is the dimension of ``u`` that belongs to dimension 0 of the weight.
    """

    axis: int

    @override
    def start(self) -> tuple[Tensor, Tensor]:
        u = unit(self.new_vector())
        return u, self.adjoint(u)

    @override
    def project_(self, gradient: Tensor, u: Tensor, *, coefficient: float) -> Tensor:
        image = self.adjoint(u)
        self.subtract_(gradient, u * self.radial(gradient), image, coefficient=coefficient)
        return image

    def subtract_(self, gradient: Tensor, u: Tensor, image: Tensor, *, coefficient: float) -> None:
        """``g −= ⟨g, W̄⟩/c · ∂σ/∂W`` in place, for the image of ``u`` and ``⟨g, W̄⟩·u``."""
        # c·v = factor·W̄ᵀu, so what the formula has of 1/c and of the factor acts on the image
        self.add_derivative_(gradient, u, image, alpha=-((self.factor / coefficient) ** 2))

    @override
    def advance(self, u: Tensor, image: Tensor, *, iterations: int) -> tuple[Tensor, Tensor]:
        for _ in range(iterations):
            # a trace of u keeps the direction where the weight is zero
            u = unit(self.forward(image, u))
            image = self.adjoint(u)
        return u, image

    @abstractmethod
    def splits(self, rows: int) -> bool:
        """Whether parts of ``rows`` or more entries of dimension 0 map each by itself."""

    @abstractmethod
    def new_vector(self) -> Tensor:
        """Gaussian noise in the space of the outputs."""

    @abstractmethod
    def forward(self, image: Tensor, u: Tensor) -> Tensor:
        """``W·image + 1e-15·u``."""

    @abstractmethod
    def adjoint(self, u: Tensor) -> Tensor:
        """``Wᵀu``."""

    @abstractmethod
    def add_derivative_(self, tensor: Tensor, u: Tensor, image: Tensor, *, alpha: float) -> None:
        """``tensor += alpha · ∂⟨u, W·image⟩/∂W`` in place."""


class MatrixNorm(PowerIteration):
    """The spectral norm of the reshaped kernel: ``∂σ/∂W = uvᵀ`` (Miyato et al. 2018)."""

    axis = 0

    @override
    def splits(self, rows: int) -> bool:
        return self.kernel.row_dim == 0

    @override
    def new_vector(self) -> Tensor:
        return self.weight().new_empty(self.kernel.rows).normal_()

    @override
    def forward(self, image: Tensor, u: Tensor) -> Tensor:
        return torch.addmv(u, self.kernel.matrix(self.weight()), image, beta=_TRACE)

    @override
    def adjoint(self, u: Tensor) -> Tensor:
        return self.kernel.matrix(self.weight()).t().mv(u)

    @override
    def add_derivative_(self, tensor: Tensor, u: Tensor, image: Tensor, *, alpha: float) -> None:
        self.kernel.add_outer_(tensor, u, image, alpha=alpha)


class TorusNorm(PowerIteration):
    """The norm of the convolution on a small torus, times what that may miss of the true norm.

    ``∂σ/∂W`` is the weight gradient of the convolution at input v and output gradient u. A
    transposed convolution is the adjoint of the one with the same kernel, of the same norm.
    """

    axis = 1

    def __init__(self, kernel: Kernel, geometry: Geometry) -> None:
        torus = geometry.small_torus()
        self._groups = geometry.groups
        super().__init__(kernel, factor=torus.factor)
        dim = len(torus.sides)
        self._sides = torus.sides
        self._options: dict[str, Any] = {
            "stride": torus.stride,
            "dilation": torus.dilation,
            "groups": self._groups,
        }
        rows = zip(geometry.kernel, torus.stride, torus.dilation, strict=True)
        # by how much the last window reaches past the end, or stops before it
        self._overlaps = [d * (k - 1) + 1 - s for k, s, d in rows]
        self._convolve: Callable[..., Tensor] = (F.conv1d, F.conv2d, F.conv3d)[dim - 1]
        self._transposed: Callable[..., Tensor] = (
            F.conv_transpose1d,
            F.conv_transpose2d,
            F.conv_transpose3d,
        )[dim - 1]
        self._derivative: Callable[..., Tensor] = (
            derivatives.conv1d_weight,
            derivatives.conv2d_weight,
            derivatives.conv3d_weight,
        )[dim - 1]

    @override
    def splits(self, rows: int) -> bool:
        # torch convolves to one channel at least
        return self._groups == 1 and rows > 0

    @override
    def new_vector(self) -> Tensor:
        outputs = len(self.kernel.weight)
        return self.weight().new_empty(1, outputs, *self._sides).normal_()

    @override
    def forward(self, image: Tensor, u: Tensor) -> Tensor:
        output = self._convolve(self._wrapped(image), self.weight(), **self._options)
        return output.add_(u, alpha=_TRACE)

    @override
    def adjoint(self, u: Tensor) -> Tensor:
        return self._folded(self._transposed(u, self.weight(), **self._options))

    @override
    def add_derivative_(self, tensor: Tensor, u: Tensor, image: Tensor, *, alpha: float) -> None:
        derivative = self._derivative(self._wrapped(image), tensor.shape, u, **self._options)
        tensor.add_(derivative, alpha=alpha)

    def _wrapped(self, signal: Tensor) -> Tensor:
        """Let the signal go on past its end as a torus does."""
        for axis, overlap in enumerate(self._overlaps, start=2):
            length = signal.shape[axis]
            while signal.shape[axis] < length + overlap:
                missing = min(length, length + overlap - signal.shape[axis])
                signal = torch.cat([signal, signal.narrow(axis, 0, missing)], axis)
        return signal

    def _folded(self, signal: Tensor) -> Tensor:
        """The adjoint of :meth:`_wrapped`: what lies past the end is added to the start."""
        for axis, overlap in enumerate(self._overlaps, start=2):
            length = signal.shape[axis] - overlap
            if overlap < 0:
                padding = [0, 0] * (signal.dim() - axis - 1) + [0, -overlap]
                signal = F.pad(signal, padding)
            elif overlap > 0:
                parts = signal.split(length, axis)
                signal = parts[0].clone()
                for part in parts[1:]:
                    signal.narrow(axis, 0, part.shape[axis]).add_(part)
        return signal


class GramBound(Norm):
    """A guaranteed upper bound of σ, by Gram iteration (Delattre et al. 2023), anew in each step.

    A positively homogeneous function of the weight, so the change of coordinates holds for it as
    for σ, with its own derivative. ``u`` is the index of the frequency with the largest bound, on
    which alone the derivative depends.
    """

    def __init__(self, kernel: Kernel, geometry: Geometry | None) -> None:
        super().__init__(kernel)
        self._geometry = geometry

    @override
    def start(self) -> tuple[Tensor, Tensor]:
        weight = self.weight()
        index = torch.zeros(1, dtype=torch.long, device=weight.device)
        return self.advance(index, weight, iterations=1)

    @override
    def project_(self, gradient: Tensor, u: Tensor, *, coefficient: float) -> Tensor:
        with torch.enable_grad():
            weight = self.weight().requires_grad_()
            (derivative,) = torch.autograd.grad(self._bounds(weight, u).sum(), weight)
        gradient.sub_(derivative * (self.radial(gradient) / coefficient))
        return u

    @override
    def advance(self, u: Tensor, image: Tensor, *, iterations: int) -> tuple[Tensor, Tensor]:
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


def unit(vector: Tensor) -> Tensor:
    """``x/‖x‖`` over all dimensions."""
    return vector / torch.linalg.vector_norm(vector)
