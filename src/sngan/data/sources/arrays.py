"""Arrays of samples: read from ``.npz`` and ``.npy`` files, and made into data sets."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sngan.data import legacy
from sngan.data.dataset import Dataset
from sngan.data.fingerprint import of_files
from sngan.data.images import value_range
from sngan.data.images.image_spec import default_side, warn_of_resizing
from sngan.data.images.pixels import crop_and_resize
from sngan.data.images.transparency import opaque_array, rgb
from sngan.data.images.value_range import ValueRange, to_bytes
from sngan.data.labels.encoding import encode
from sngan.data.labels.missing import describe_missing
from sngan.data.memory import require_images_fit
from sngan.data.sources.array_file import ArrayFile
from sngan.data.sources.array_names import choose_arrays
from sngan.data.types import Arrays, ImageSpec, ReadOptions
from sngan.utils.checks import require
from sngan.utils.text import printable

_ROWS = 4096
_SHAPES = "points (N, dim) of floats, or images (N, H, W), (N, C, H, W) or (N, H, W, C)"
_log = logging.getLogger("sngan")


def open_arrays(path: Path, options: ReadOptions) -> Arrays:
    """Read ``.npy``, or the arrays ``samples``/``images``/``x`` … and ``labels``/``y`` of ``.npz``.

    Images are ``(N, H, W)``, ``(N, C, H, W)`` or ``(N, H, W, C)``; a fourth channel is
    transparency. Their values are integers in 0 … 255, unsigned integers of 16 bits, or floats in
    [0, 1], [−1, 1] or [0, 255]. Integers or truth values of 0 and 1 are masks. Two-dimensional
    floats are points.

    Raises
    ------
    ValueError
        If the file is damaged or has no such array, an array has another shape or range, or the
        labels do not fit the samples.
    """
    file = ArrayFile(path)
    names = f"arrays in {file.shown}"
    require(bool(file.headers), "data", expected=names, got="none")
    if options.is_legacy:
        key, label_key = legacy.array_names(list(file.headers))
    else:
        key, label_key = choose_arrays(file.headers, options, file.shown)
    name = f"{file.shown}[{printable(key)}]"
    samples = _samples(file.read(key), name, options)
    content = of_files([path], path)
    if label_key is None:
        return Arrays(samples, content=content)
    given = file.read(label_key)
    if options.is_legacy:
        given = legacy.integer_labels(given)
    count = len(given) if given.ndim else 1
    expected = f"as many labels as samples, {len(samples)}"
    require(count == len(samples), "data", expected=expected, got=count)
    if options.is_legacy:
        return Arrays(samples, torch.from_numpy(given), content=content)
    labels = encode(given, f"{file.shown}[{printable(label_key)}]")
    arrays = Arrays(samples, torch.from_numpy(labels.classes), labels.names, content)
    return _drop_unlabelled(arrays, name)


def _drop_unlabelled(arrays: Arrays, name: str) -> Arrays:
    """Leave out the samples without a label if they are the minority, or use no labels."""
    if arrays.labels is None:
        return arrays
    known = arrays.labels >= 0
    labelled = int(known.sum())
    missing = len(known) - labelled
    if not missing:
        return arrays
    _log.warning("%s: %s", name, describe_missing(labelled, missing))
    if labelled > missing:
        return arrays._replace(samples=arrays.samples[known], labels=arrays.labels[known])
    return arrays._replace(labels=None, class_names=())


def to_dataset(name: str, arrays: Arrays, *, side: int | None, channels: int | None) -> Dataset:
    """Make a data set of arrays, with images cropped and resized like decoded ones.

    Parameters
    ----------
    name
        The SOURCE.
    arrays
        Images or points.
    side, channels
        The side and the channels of images; ``None`` keeps the channels and chooses the usual side.
    """
    samples = arrays.samples
    if samples.dim() == 4:
        height, width = samples.shape[2:]
        spec = ImageSpec(side or default_side(width, height), channels or samples.shape[1])
        if tuple(samples.shape[1:]) != (spec.channels, spec.side, spec.side):
            if side is None:
                warn_of_resizing([(width, height)], spec.side)
            require_images_fit((len(samples), spec.channels, spec.side, spec.side))
            samples = torch.from_numpy(
                np.stack([crop_and_resize(_as_image(one), spec) for one in samples])
            )
    return Dataset(name, samples, arrays.labels, arrays.class_names, content=arrays.content)


def _as_image(image: Tensor) -> Any:
    from PIL import Image

    pixels = image.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)


def _samples(array: NDArray[Any], name: str, options: ReadOptions) -> Tensor:
    numeric = array.dtype.kind in "buif" and array.size > 0
    require(numeric, "data", expected=f"numbers in {name}", got=f"{array.dtype} {array.shape}")
    got = f"{array.dtype} {array.shape}"
    require(array.ndim > 0, "data", expected=f"{_SHAPES} in {name}", got=got)
    if array.dtype.kind == "f":
        finite = bool(np.isfinite([array.min(), array.max()]).all())
        require(finite, "data", expected=f"finite {name}", got="nan or inf")
        array = array.astype(np.float32) if array.dtype == np.float16 else array
    if array.ndim == 2 and array.dtype.kind == "f":
        most = np.finfo(np.float32).max
        extremes = f"{array.min():g} … {array.max():g}"
        fits = -most <= array.min() and array.max() <= most
        require(bool(fits), "data", expected=f"{name} in the range of float32", got=extremes)
        return torch.from_numpy(array.astype(np.float32))
    if options.is_legacy:
        pixels = legacy.pixels_of(array, name)
    else:
        chosen = _value_range(array, name)
        pixels = _in_parts(array, lambda part: to_bytes(part, chosen))
    return torch.from_numpy(_channels_first(pixels, name, options)).contiguous()


class Converter:
    """Makes tensors of arrays that a caller gives in parts; the first part decides the range.

    Parameters
    ----------
    array
        The first samples, as :func:`open_arrays` takes them.
    name
        The name of the data, for messages.

    Raises
    ------
    ValueError
        If they are neither points nor images.
    """

    def __init__(self, array: NDArray[Any], name: str) -> None:
        self._name = name
        # this checks the samples, and warns of an unusual range of values
        self.first = _samples(array, name, ReadOptions())
        self._range = _value_range(array, name) if self.first.dim() == 4 else None

    def __call__(self, array: NDArray[Any]) -> Tensor:
        """Return images uint8 ``(N, C, H, W)``, or points float32 ``(N, dim)``."""
        if self._range is None:
            return torch.from_numpy(array.astype(np.float32))
        try:
            pixels = to_bytes(array, self._range)
        except ValueError as error:
            raise ValueError(f"data: expected {self._name} as at its start, got {error}") from error
        return torch.from_numpy(_channels_first(pixels, self._name, ReadOptions())).contiguous()


def _value_range(array: NDArray[Any], name: str) -> ValueRange:
    """The range of an array: floats by their values, bytes and masks, and 16 bits unsigned."""
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind == "f":
        chosen = value_range.of_floats(low, high)
        if chosen is None or chosen.white > 255:
            expected = f"floats of {name} in 0 … 255, in [0, 1] or [-1, 1]"
            raise ValueError(f"data: expected {expected}, got [{low:g}, {high:g}]")
        if chosen == value_range.BYTES or (chosen == value_range.SIGNED and low > -0.5):
            _log.warning("%s: floats from %g to %g are read as %s", name, low, high, chosen)
        return chosen
    if array.dtype.kind == "b" or (low >= 0 and high <= 255):
        return value_range.UNIT if array.dtype.kind == "b" else value_range.of_bytes(high, name)
    is_deep = (array.dtype.kind, array.dtype.itemsize) == ("u", 2)
    chosen = value_range.of_integers(low, high) if is_deep else None
    if chosen is None:
        expected = f"integers of {name} in 0 … 255"
        raise ValueError(f"data: expected {expected}, got {low:g} … {high:g}")
    _log.warning("%s: values up to %g are read as %s", name, high, chosen)
    return chosen


def _in_parts(
    array: NDArray[Any], convert: Callable[[NDArray[Any]], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Convert some rows at a time, because the whole array as wider numbers may be too large."""
    if array.dtype == np.uint8 and array.max() > 1:
        return array
    pixels = np.empty(array.shape, np.uint8)
    for start in range(0, len(array) if array.ndim else 0, _ROWS):
        pixels[start : start + _ROWS] = convert(array[start : start + _ROWS])
    return pixels


def _channels_first(
    pixels: NDArray[np.uint8], name: str, options: ReadOptions
) -> NDArray[np.uint8]:
    shape = pixels.shape
    expected = f"{_SHAPES} in {name}"
    if pixels.ndim == 3:
        is_one = shape[2] in (3, 4) and not options.is_legacy
        require(not is_one, "data", expected=expected, got=f"{shape}, which looks like one image")
        return pixels[:, None]
    require(pixels.ndim == 4, "data", expected=expected, got=f"{pixels.dtype} {shape}")
    last, second = shape[3] in (1, 3), shape[1] in (1, 3)
    if not (last or second or options.is_legacy):
        last, second = shape[3] == 4, shape[1] == 4
    require(last or second, "data", expected=expected, got=f"{pixels.dtype} {shape}")
    is_unique = not (last and second) or options.is_legacy
    expected = f"{name} of one axis that can be the channels"
    require(is_unique, "data", expected=expected, got=f"{shape}, which has two")
    first = np.moveaxis(pixels, 3, 1) if last else pixels
    return opaque_array(first, rgb(options.background)) if first.shape[1] == 4 else first
