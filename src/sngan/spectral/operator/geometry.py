"""Geometry of a convolution as a linear map: sizes, strides, padding, and a torus around it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sngan.utils.checks import require
from sngan.utils.supported_layers import CONVOLUTIONS, TRANSPOSED

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
Transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
Sizes = tuple[int, ...]
_SHORT_SIDE = 16


@dataclass(frozen=True)
class Geometry:
    """A convolution without its weight. A transposed convolution is described by its adjoint.

    The tuples have one entry for each spatial dimension. ``padding`` are the lengths added left and
    right; each of ``sizes`` is the size of one input that the convolution is called with.
    """

    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    padding: tuple[tuple[int, int], ...]
    mode: str
    sizes: tuple[Sizes, ...]
    groups: int

    def grouped(self, weight: Tensor) -> Tensor:
        """``(groups, outputs, inputs, *kernel)`` of a weight ``(outputs, inputs, *kernel)``."""
        return weight.unflatten(0, (self.groups, -1))

    def torus(self) -> "Torus":
        """A torus whose circular convolution has at least the norm of this convolution.

        - Zero padding: the padded input lies in a torus of ``⌈(n + padding)/s⌉`` strides, and the
          convolution is a block of the circular one.
        - Circular padding: the input is a torus itself if the stride divides n. If not, the outputs
          are some of those at stride 1. Each output may occur ``⌈outputs/N⌉`` times.
        - Reflect and replicate padding repeat entries of the input. ``factor`` is the norm of this
          padding as a map: the root of the largest number of repetitions.

        In a dimension in which the kernel has length 1, the symbol is constant, so one place is
        enough. If there are several sizes, zero padding needs only the largest one, which contains
        the others. With circular padding a larger size may have a smaller norm, so the torus has
        the least common multiple of the sizes: its frequencies include those of all sizes.
        """
        torus = self._circular_torus() if self.mode == "circular" else self._padded_torus()
        sides = (1 if k == 1 else n for n, k in zip(torus.sides, self.kernel, strict=True))
        return replace(torus, sides=tuple(sides))

    def _padded_torus(self) -> "Torus":
        columns = list(zip(zip(*self.sizes, strict=True), self.padding, self.stride, strict=True))
        sides = tuple(-(-(max(lengths) + sum(pad)) // s) for lengths, pad, s in columns)
        repeats = [
            max(_most_repeated(n, pad, self.mode) for n in lengths) for lengths, pad, _ in columns
        ]
        pointwise = max(self.kernel) == 1 and not any(map(sum, self.padding))
        factor = math.sqrt(math.prod(repeats))
        return Torus(sides, self.stride, self.dilation, factor, is_exact=pointwise)

    def _circular_torus(self) -> "Torus":
        columns = list(zip(zip(*self.sizes, strict=True), self.stride, strict=True))
        strides = tuple(1 if any(n % s for n in lengths) else s for lengths, s in columns)
        finer = replace(self, stride=strides)
        places = [tuple(n // s for n, s in zip(size, strides, strict=True)) for size in self.sizes]
        sides = tuple(math.lcm(*lengths) for lengths in zip(*places, strict=True))
        repeats = max(
            math.prod(-(-out // n) for out, n in zip(finer.output_size(size), own, strict=True))
            for size, own in zip(self.sizes, places, strict=True)
        )
        is_exact = finer.output_size(self.sizes[0]) == sides and strides == self.stride
        return Torus(
            sides,
            strides,
            self.dilation,
            math.sqrt(repeats),
            is_exact=is_exact and len(self.sizes) == 1,
        )

    def small_torus(self) -> "Torus":
        """A cheap torus of at most 16 places a side, with a factor for the norm that it may miss.

        In one dimension, the supremum over all frequencies is at most ``1/cos(π(k − 1)/2N)`` times
        the maximum over a grid of N frequencies. Proof: between two unit vectors the symbol is a
        trigonometric polynomial of degree d = (k − 1)/2, bounded by the supremum M. At a distance δ
        from a point where its value is M, its value is at least ``M cos(dδ)`` (Duffin, Schaeffer
        1938). A dilation does not change the supremum over all frequencies. A kernel that is too
        long for 16 places gets a side of twice its length.
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

    def output_size(self, size: Sizes) -> Sizes:
        """``⌊(n + padding − dilation·(k − 1) − 1)/s⌋ + 1`` in each dimension."""
        rows = zip(size, self.padding, self.dilation, self.kernel, self.stride, strict=True)
        return tuple((n + sum(pad) - d * (k - 1) - 1) // s + 1 for n, pad, d, k, s in rows)


@dataclass(frozen=True)
class Torus:
    """``‖T‖ ≤ factor · max ‖K(θ)‖`` over the frequencies of the torus, at this stride.

    ``sides`` are the numbers of outputs in each dimension; the input has ``side · stride`` places.
    ``is_exact`` says that both sides of the inequality are equal.
    """

    sides: Sizes
    stride: Sizes
    dilation: Sizes
    factor: float
    is_exact: bool


def geometry_of(
    layer: nn.Module, input_shape: Sizes, *, output_size: Sizes | None = None
) -> Geometry:
    """The geometry of a convolution, or of the adjoint of a transposed one.

    Parameters
    ----------
    layer
        A convolution or a transposed convolution.
    input_shape
        The shape of its input, ``(channels, *size)``.
    output_size
        The output size that a transposed convolution is called with, if any.
    """
    if isinstance(layer, CONVOLUTIONS):
        return Geometry(
            kernel=_sizes(layer.kernel_size),
            stride=_sizes(layer.stride),
            dilation=_sizes(layer.dilation),
            padding=_padding(layer),
            mode=layer.padding_mode,
            sizes=(input_shape[1:],),
            groups=layer.groups,
        )
    assert isinstance(layer, TRANSPOSED)
    padding = _sizes(cast(Sizes, layer.padding))
    return Geometry(
        kernel=_sizes(layer.kernel_size),
        stride=_sizes(layer.stride),
        dilation=_sizes(layer.dilation),
        padding=tuple((p, p) for p in padding),
        mode="zeros",
        sizes=(output_size or usual_output_size(layer, input_shape),),
        groups=layer.groups,
    )


def usual_output_size(layer: Transposed, input_shape: Sizes) -> Sizes:
    """The output size of a transposed convolution that is called without an output size."""
    least = least_output_size(layer, input_shape)
    return tuple(n + extra for n, extra in zip(least, _sizes(layer.output_padding), strict=True))


def least_output_size(layer: Transposed, input_shape: Sizes) -> Sizes:
    """``(n − 1)·s − 2p + d·(k − 1) + 1``: the output size without output padding."""
    kernel, stride, dilation = map(_sizes, (layer.kernel_size, layer.stride, layer.dilation))
    padding = _sizes(cast(Sizes, layer.padding))
    rows = zip(input_shape[1:], stride, padding, dilation, kernel, strict=True)
    return tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in rows)


def at_all_sizes(geometries: Sequence[Geometry]) -> Geometry:
    """The geometry of one layer that is called with inputs of several sizes."""
    sizes = {size for geometry in geometries for size in geometry.sizes}
    return replace(geometries[0], sizes=tuple(sorted(sizes)))


def _padding(layer: Convolution) -> tuple[tuple[int, int], ...]:
    if isinstance(layer.padding, tuple):
        return tuple((p, p) for p in _sizes(layer.padding))
    if layer.padding == "valid":
        return tuple((0, 0) for _ in layer.kernel_size)
    # with padding "same", torch adds one place more on the right if the total is odd
    extents = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    return tuple((total // 2, total - total // 2) for total in extents)


def _most_repeated(n: int, pad: tuple[int, int], mode: str) -> int:
    """The number of times that the most frequent entry of a signal occurs after padding."""
    if mode == "zeros" or not any(pad):
        return 1
    places = torch.arange(n, dtype=torch.float64, device="cpu").view(1, 1, n)
    return int(F.pad(places, pad, mode=mode).flatten().long().bincount().max())


def _sizes(values: Sequence[int]) -> Sizes:
    return tuple(int(value) for value in values)


def require_input_shape(layer: nn.Module, input_shape: Sizes, *, channels: int, dim: int) -> None:
    """Raise ``ValueError`` unless a shape is ``(channels, *size)`` with ``dim`` positive sizes.

    Parameters
    ----------
    layer
        The layer, for the message.
    input_shape
        The shape.
    channels
        The channels that it must have.
    dim
        The number of spatial dimensions.
    """
    fits = len(input_shape) == dim + 1 and input_shape[0] == channels and min(input_shape) > 0
    sizes = ", ".join(("depth", "height", "width")[3 - dim :])
    require(
        fits,
        "input_shape",
        expected=f"({channels}, {sizes}) for {type(layer).__name__}",
        got=input_shape,
    )
