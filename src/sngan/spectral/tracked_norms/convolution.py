"""Convolution norm: the norm of a convolution as a map, by power iteration on a small torus."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import grad as derivatives
from typing_extensions import override

from sngan.spectral.operator.geometry import Geometry
from sngan.spectral.tracked_norms.base import PowerIterationNorm
from sngan.utils.kernels import Kernel


class ConvolutionNorm(PowerIterationNorm):
    """The norm of the convolution on a small torus, times a factor for the norm that it may miss.

    ``∂σ/∂W`` is the weight gradient of the convolution at input v and output gradient u. A
    transposed convolution has the norm of its adjoint, the convolution with the same kernel.
    """

    u_axis = 1

    def __init__(self, kernel: Kernel, geometry: Geometry) -> None:
        torus = geometry.small_torus()
        super().__init__(kernel, factor=torus.factor)
        self._groups = geometry.groups
        self._sides = torus.sides
        self._options: dict[str, Any] = {
            "stride": torus.stride,
            "dilation": torus.dilation,
            "groups": self._groups,
        }
        rows = zip(geometry.kernel, torus.stride, torus.dilation, strict=True)
        # the number of places by which the last window passes the end; negative if it stops before
        self._overlaps = [d * (k - 1) + 1 - s for k, s, d in rows]
        dim = len(torus.sides)
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
    def can_be_split(self, rows: int) -> bool:
        # torch needs at least one output channel
        return self._groups == 1 and rows > 0

    @override
    def u_shape(self) -> tuple[int, ...]:
        return (1, len(self.kernel.weight), *self._sides)

    @override
    def forward(self, v: Tensor) -> Tensor:
        return self._convolve(self._wrapped(v), self.weight(), **self._options)

    @override
    def adjoint(self, u: Tensor) -> Tensor:
        return self._folded(self._transposed(u, self.weight(), **self._options))

    @override
    def add_derivative_(self, tensor: Tensor, u: Tensor, v: Tensor, *, alpha: float) -> None:
        derivative = self._derivative(self._wrapped(v), tensor.shape, u, **self._options)
        tensor.add_(derivative, alpha=alpha)

    def _wrapped(self, signal: Tensor) -> Tensor:
        """The signal, continued periodically past its end as far as the last window reaches."""
        for axis, overlap in enumerate(self._overlaps, start=2):
            side = signal.shape[axis]
            while signal.shape[axis] < side + overlap:
                missing = min(side, side + overlap - signal.shape[axis])
                signal = torch.cat([signal, signal.narrow(axis, 0, missing)], axis)
        return signal

    def _folded(self, signal: Tensor) -> Tensor:
        """The adjoint of :meth:`_wrapped`: the entries past the end are added to the start."""
        for axis, overlap in enumerate(self._overlaps, start=2):
            side = signal.shape[axis] - overlap
            if overlap < 0:
                padding = [0, 0] * (signal.dim() - axis - 1) + [0, -overlap]
                signal = F.pad(signal, padding)
            elif overlap > 0:
                first, *others = signal.split(side, axis)
                signal = first.clone()
                for other in others:
                    signal.narrow(axis, 0, other.shape[axis]).add_(other)
        return signal
