"""The shape of a convolution as a linear map: sizes, strides, padding, and the torus around it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sngan._checks import require
from sngan.spectral.kernels import CONVOLUTIONS, TRANSPOSED

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
Transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
Sizes = tuple[int, ...]
_SHORT_SIDE = 16


@dataclass(frozen=True)
class Geometry:
    """All of a convolution but its weight; a transposed one is described by its adjoint.

    One entry a spatial dimension: ``size`` is the length of the convolution's input, ``padding``
    the lengths added left and right.
    """

    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    padding: tuple[tuple[int, int], ...]
    mode: str
    size: Sizes
    groups: int

    def grouped(self, weight: Tensor) -> Tensor:
        """``(groups, outputs, inputs, *kernel)`` of a weight ``(outputs, inputs, *kernel)``."""
        return weight.unflatten(0, (self.groups, -1))

    def torus(self) -> "Torus":
        """The torus whose convolution bounds this one.

        With zeros around it, the input lies in the torus of ``⌈(n + padding)/s⌉`` strides, and the
        convolution is a block of the circular one. Circular padding is that torus itself where
        the stride divides n; where it does not, the outputs are some of those at stride 1. Every
        row may occur ``⌈outputs/N⌉`` times. Reflect and replicate padding repeat entries of the
        input: ``factor`` is the root of how often, the norm of the padding as a map. Along a
        kernel of length 1 the symbol does not change: one place is enough.
        """
        torus = self._circular_torus() if self.mode == "circular" else self._padded_torus()
        sides = (1 if k == 1 else n for n, k in zip(torus.sides, self.kernel, strict=True))
        return replace(torus, sides=tuple(sides))

    def _padded_torus(self) -> "Torus":
        padded = [n + sum(pad) for n, pad in zip(self.size, self.padding, strict=True)]
        sides = tuple(-(-n // s) for n, s in zip(padded, self.stride, strict=True))
        repeats = [
            _most_repeated(n, pad, self.mode)
            for n, pad in zip(self.size, self.padding, strict=True)
        ]
        pointwise = max(self.kernel) == 1 and not any(map(sum, self.padding))
        factor = math.sqrt(math.prod(repeats))
        return Torus(sides, self.stride, self.dilation, factor, is_exact=pointwise)

    def _circular_torus(self) -> "Torus":
        strides = tuple(s if n % s == 0 else 1 for n, s in zip(self.size, self.stride, strict=True))
        sides = tuple(n // s for n, s in zip(self.size, strides, strict=True))
        outputs = replace(self, stride=strides).output_sizes()
        repeats = [-(-out // side) for out, side in zip(outputs, sides, strict=True)]
        is_exact = outputs == sides and strides == self.stride
        factor = math.sqrt(math.prod(repeats))
        return Torus(sides, strides, self.dilation, factor, is_exact=is_exact)

    def small_torus(self) -> "Torus":
        """The same with at most 16 places a side, so that it is cheap, and the factor it costs.

        A grid of N frequencies misses at most ``1/cos(π(k − 1)/2N)`` of the supremum over all of
        them in that dimension: a form of the symbol between unit vectors is a trigonometric
        polynomial of degree d = (k − 1)/2, bounded by the supremum M, and at a distance δ from
        where it is M it is at least ``M cos(dδ)`` (Duffin, Schaeffer 1938). Over all frequencies
        a dilation changes nothing. A kernel too long for 16 places gets twice its own length.
        """
        torus = self.torus()
        sides, strides, dilations, factor = [], [], [], torus.factor
        rows = zip(torus.sides, torus.stride, torus.dilation, self.kernel, strict=True)
        for side, stride, dilation, kernel in rows:
            if side > _SHORT_SIDE:
                if dilation % stride == 0:
                    stride = dilation = 1
                extent = dilation * (kernel - 1) // stride
                side = max(_SHORT_SIDE, 2 * extent)
                factor /= math.cos(math.pi * extent / (2 * side))
            sides.append(side)
            strides.append(stride)
            dilations.append(dilation)
        return Torus(tuple(sides), tuple(strides), tuple(dilations), factor, is_exact=False)

    def output_sizes(self) -> Sizes:
        """``⌊(n + padding − dilation·(k − 1) − 1)/s⌋ + 1`` in each dimension."""
        rows = zip(self.size, self.padding, self.dilation, self.kernel, self.stride, strict=True)
        return tuple((n + sum(pad) - d * (k - 1) - 1) // s + 1 for n, pad, d, k, s in rows)


@dataclass(frozen=True)
class Torus:
    """``‖T‖ ≤ factor · max ‖K(θ)‖`` over the torus' frequencies, at this stride.

    ``sides`` counts outputs in each dimension: the input has ``side · stride`` places there.
    """

    sides: Sizes
    stride: Sizes
    dilation: Sizes
    factor: float
    is_exact: bool


def geometry_of(layer: nn.Module, input_shape: Sizes) -> Geometry:
    """Describe a convolution, or the adjoint of a transposed one, on ``(channels, *size)``."""
    if isinstance(layer, CONVOLUTIONS):
        return Geometry(
            kernel=_sizes(layer.kernel_size),
            stride=_sizes(layer.stride),
            dilation=_sizes(layer.dilation),
            padding=_padding(layer),
            mode=layer.padding_mode,
            size=input_shape[1:],
            groups=layer.groups,
        )
    assert isinstance(layer, TRANSPOSED)
    return _adjoint_geometry(layer, input_shape)


def _adjoint_geometry(layer: Transposed, input_shape: Sizes) -> Geometry:
    kernel, stride, dilation = map(_sizes, (layer.kernel_size, layer.stride, layer.dilation))
    padding, extra = _sizes(cast(Sizes, layer.padding)), _sizes(layer.output_padding)
    rows = zip(input_shape[1:], stride, padding, dilation, kernel, extra, strict=True)
    size = tuple((n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, s, p, d, k, e in rows)
    return Geometry(
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        padding=tuple((p, p) for p in padding),
        mode="zeros",
        size=size,
        groups=layer.groups,
    )


def _padding(layer: Convolution) -> tuple[tuple[int, int], ...]:
    if isinstance(layer.padding, tuple):
        return tuple((p, p) for p in _sizes(layer.padding))
    if layer.padding == "valid":
        return tuple((0, 0) for _ in layer.kernel_size)
    # "same": the odd one goes to the right, as torch has it
    extents = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    return tuple((total // 2, total - total // 2) for total in extents)


def _most_repeated(n: int, pad: tuple[int, int], mode: str) -> int:
    """How often the most frequent entry of a signal occurs after padding."""
    if mode == "zeros" or not any(pad):
        return 1
    places = torch.arange(n, dtype=torch.float64).view(1, 1, n)
    return int(F.pad(places, pad, mode=mode).flatten().long().bincount().max())


def _sizes(values: Sequence[int]) -> Sizes:
    return tuple(int(value) for value in values)


def require_input_shape(layer: nn.Module, input_shape: Sizes, *, channels: int, dim: int) -> None:
    """Raise unless ``input_shape`` is ``(channels, *size)`` with ``dim`` positive sizes."""
    fits = len(input_shape) == dim + 1 and input_shape[0] == channels and min(input_shape) > 0
    sizes = ", ".join(("depth", "height", "width")[3 - dim :])
    require(
        fits,
        "input_shape",
        expected=f"({channels}, {sizes}) for {type(layer).__name__}",
        got=input_shape,
    )
