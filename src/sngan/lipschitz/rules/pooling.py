"""Pooling by the maximum or the norm: an output changes at most as the norm of its window does.

Therefore ``‖Δy‖² ≤ Σ_i n_i Δx_i²``, where n_i is the number of windows that contain input i. The
constant is the root of the largest n_i, which is 1 without overlap.
"""

import copy
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

from sngan.lipschitz.constants import LipschitzConstant, unbounded
from sngan.lipschitz.rounding import sqrt_up


def max_pool(layer: Any, input_shape: tuple[int, ...]) -> LipschitzConstant:
    """Return the constant of ``nn.MaxPool1d/2d/3d``."""
    if layer.return_indices:
        return unbounded("it returns indices")
    sizes = input_shape[1:]
    dims = len(sizes)
    options = [_each(getattr(layer, key), dims) for key in ("kernel_size", "stride", "padding")]
    options.append(_each(layer.dilation, dims))
    counts = [
        _most_windows(_windows(size, *geometry, ceil=layer.ceil_mode))
        for size, *geometry in zip(sizes, *options, strict=True)
    ]
    return LipschitzConstant(sqrt_up(float(math.prod(counts))), "windows")


def adaptive_max_pool(layer: Any, input_shape: tuple[int, ...]) -> LipschitzConstant:
    """Return the constant of ``nn.AdaptiveMaxPool1d/2d/3d``.

    For n inputs and m outputs, window i is ``[⌊i·n/m⌋, ⌈(i+1)·n/m⌉)``.
    """
    if layer.return_indices:
        return unbounded("it returns indices")
    sizes = input_shape[1:]
    dims = len(sizes)
    counts: list[int] = []
    for size, given in zip(sizes, _each(layer.output_size, dims), strict=True):
        outputs = size if given is None else given
        counts.append(
            _most_windows(
                range(i * size // outputs, -(-(i + 1) * size // outputs)) for i in range(outputs)
            )
        )
    return LipschitzConstant(sqrt_up(float(math.prod(counts))), "windows")


def norm_pool(layer: Any, input_shape: tuple[int, ...]) -> LipschitzConstant:
    """Return the constant of pooling by the Euclidean norm, without padding."""
    sizes = input_shape[1:]
    geometry = (_each(layer.kernel_size, len(sizes)), _each(layer.stride, len(sizes)))
    counts = [
        _most_windows(_windows(size, kernel, stride, 0, 1, ceil=False))
        for size, kernel, stride in zip(sizes, *geometry, strict=True)
    ]
    return LipschitzConstant(sqrt_up(float(math.prod(counts))), "windows")


def power_pool(layer: Any, input_shape: tuple[int, ...]) -> LipschitzConstant:
    """Return the constant of ``nn.LPPool1d/2d/3d`` with the Euclidean norm."""
    if layer.norm_type != 2:
        return unbounded(f"pooling with norm_type={layer.norm_type} has no known constant")
    if layer.ceil_mode:
        return unbounded("with ceil_mode, torch scales the windows at the edge")
    strided = copy.copy(layer)
    strided.stride = layer.kernel_size if layer.stride is None else layer.stride
    return norm_pool(strided, input_shape)


def _windows(
    size: int, kernel: int, stride: int, padding: int, dilation: int, *, ceil: bool
) -> Iterable[Iterable[int]]:
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    # with ceil_mode there may be one window more than torch keeps, so the count is an upper bound
    outputs = (-(-span // stride) if ceil else span // stride) + 1
    for output in range(outputs):
        start = output * stride - padding
        taps = range(start, start + dilation * kernel, dilation)
        yield [tap for tap in taps if 0 <= tap < size]


def _most_windows(windows: Iterable[Iterable[int]]) -> int:
    entries = Counter(index for window in windows for index in window)
    return max(entries.values(), default=1)


def _each(value: Any, dims: int) -> list[Any]:
    return list(value) if isinstance(value, tuple | list) else [value] * dims
