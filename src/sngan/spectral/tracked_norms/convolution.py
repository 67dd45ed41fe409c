"""The norm of a convolution as a map: power iteration on a small torus."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import grad as derivatives
from typing_extensions import override

from sngan.spectral.kernels import Kernel
from sngan.spectral.operator.geometry import Geometry
from sngan.spectral.tracked_norms.base import PowerIterationNorm


class ConvolutionNorm(PowerIterationNorm):
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
    def vector_shape(self) -> tuple[int, ...]:
        return (1, len(self.kernel.weight), *self._sides)

    @override
    def forward(self, wt_u: Tensor) -> Tensor:
        return self._convolve(self._wrapped(wt_u), self.weight(), **self._options)

    @override
    def adjoint(self, u: Tensor) -> Tensor:
        return self._folded(self._transposed(u, self.weight(), **self._options))

    @override
    def add_derivative_(self, tensor: Tensor, u: Tensor, wt_u: Tensor, *, alpha: float) -> None:
        derivative = self._derivative(self._wrapped(wt_u), tensor.shape, u, **self._options)
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
