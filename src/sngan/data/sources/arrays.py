"""Samples that come as arrays: ``.npz`` and ``.npy`` files, and what other sources unpack to."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sngan.data import legacy as first_reading
from sngan.data.dataset import Dataset
from sngan.data.fingerprint import of_files
from sngan.data.images import value_range as levels
from sngan.data.images.image_spec import default_side, rgb, tell_side
from sngan.data.images.pixels import fit
from sngan.data.images.value_range import Levels, to_bytes
from sngan.data.labels.encoding import encode, remark_of_missing
from sngan.data.sources.array_file import ArrayFile
from sngan.data.sources.array_names import choose
from sngan.data.types import Arrays, Form, Reading
from sngan.utils.checks import require
from sngan.utils.text import printable

_ROWS = 4096
_SHAPES = "points (N, dim) of floats, or images (N, H, W), (N, C, H, W) or (N, H, W, C)"
_log = logging.getLogger("sngan")


def open_arrays(path: Path, reading: Reading) -> Arrays:
    """Read ``.npy``, or the arrays ``samples``/``images``/``x`` … and ``labels``/``y`` of ``.npz``.

    Images are ``(N, H, W)``, ``(N, C, H, W)`` or ``(N, H, W, C)``, with transparency as a fourth
    channel; integers in 0 … 255, 16 bits without a sign, or floats in [0, 1], [−1, 1] or
    [0, 255]; integers or truth values of 0 and 1 are masks. Two-dimensional floats are points.

    Raises
    ------
    ValueError
        A damaged file, no such array, another shape or range, labels that do not fit.
    """
    file = ArrayFile(path)
    names = f"arrays in {file.shown}"
    require(bool(file.headers), "data", expected=names, got="none")
    if reading.is_first:
        key, label_key = first_reading.keys_of(list(file.headers))
    else:
        key, label_key = choose(file.headers, reading, file.shown)
    name = f"{file.shown}[{printable(key)}]"
    samples = _samples(file.read(key), name, reading)
    content = of_files([path], path)
    if label_key is None:
        return Arrays(samples, content=content)
    given = file.read(label_key)
    if reading.is_first:
        given = first_reading.labels_of(given)
    count = len(given) if given.ndim else 1
    expected = f"as many labels as samples, {len(samples)}"
    require(count == len(samples), "data", expected=expected, got=count)
    if reading.is_first:
        return Arrays(samples, torch.from_numpy(given), content=content)
    labels = encode(given, f"{file.shown}[{printable(label_key)}]")
    arrays = Arrays(samples, torch.from_numpy(labels.classes), labels.names, content)
    return _settled(arrays, name)


def _settled(arrays: Arrays, name: str) -> Arrays:
    """Leave out the few samples that have no label, or use no labels."""
    assert arrays.labels is not None
    known = arrays.labels >= 0
    labelled = int(known.sum())
    missing = len(known) - labelled
    if not missing:
        return arrays
    _log.warning("%s: %s", name, remark_of_missing(labelled, missing))
    if labelled > missing:
        return arrays._replace(samples=arrays.samples[known], labels=arrays.labels[known])
    return arrays._replace(labels=None, class_names=())


def to_dataset(name: str, arrays: Arrays, *, side: int | None, channels: int | None) -> Dataset:
    """Give the images the side and channels asked for, as decoded ones get them."""
    samples = arrays.samples
    if samples.dim() == 4:
        height, width = samples.shape[2:]
        form = Form(side or default_side(width, height), channels or samples.shape[1])
        if tuple(samples.shape[1:]) != (form.channels, form.side, form.side):
            if side is None:
                tell_side([(width, height)], form.side)
            samples = torch.from_numpy(np.stack([fit(_picture(one), form) for one in samples]))
    return Dataset(name, samples, arrays.labels, arrays.class_names, content=arrays.content)


def _picture(image: Tensor) -> Any:
    from PIL import Image

    pixels = image.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)


def _samples(array: NDArray[Any], name: str, reading: Reading) -> Tensor:
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
    if reading.is_first:
        pixels = first_reading.pixels_of(array, name)
    else:
        chosen = _levels(array, name)
        pixels = _in_parts(array, lambda part: to_bytes(part, chosen))
    return torch.from_numpy(_channels_first(pixels, name, reading)).contiguous()


def _levels(array: NDArray[Any], name: str) -> Levels:
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind == "f":
        chosen = levels.of_floats(low, high)
        expected = f"floats of {name} in 0 … 255, in [0, 1] or [-1, 1]"
        known = chosen is not None and chosen.white <= 255
        require(known, "data", expected=expected, got=f"[{low:g}, {high:g}]")
        assert chosen is not None
        if chosen == levels.BYTES or (chosen == levels.SIGNED and low > -0.5):
            _log.warning("%s: floats from %g to %g are read as %s", name, low, high, chosen)
        return chosen
    if array.dtype.kind == "b" or (low >= 0 and high <= 255):
        return levels.UNIT if array.dtype.kind == "b" else levels.of_bytes(high, name)
    chosen = (
        levels.of_integers(low, high)
        if (array.dtype.kind, array.dtype.itemsize) == ("u", 2)
        else None
    )
    expected = f"integers of {name} in 0 … 255"
    require(chosen is not None, "data", expected=expected, got=f"{low:g} … {high:g}")
    assert chosen is not None
    _log.warning("%s: values up to %g are read as %s", name, high, chosen)
    return chosen


def _in_parts(
    array: NDArray[Any], convert: Callable[[NDArray[Any]], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Convert some rows at a time, so that no large array is in memory twice in wide numbers."""
    if array.dtype == np.uint8 and array.max() > 1:
        return array
    pixels = np.empty(array.shape, np.uint8)
    for start in range(0, len(array) if array.ndim else 0, _ROWS):
        pixels[start : start + _ROWS] = convert(array[start : start + _ROWS])
    return pixels


def _channels_first(pixels: NDArray[np.uint8], name: str, reading: Reading) -> NDArray[np.uint8]:
    shape = pixels.shape
    expected = f"{_SHAPES} in {name}"
    if pixels.ndim == 3:
        is_one = shape[2] in (3, 4) and not reading.is_first
        require(not is_one, "data", expected=expected, got=f"{shape}, which looks like one image")
        return pixels[:, None]
    require(pixels.ndim == 4, "data", expected=expected, got=f"{pixels.dtype} {shape}")
    last, second = shape[3] in (1, 3), shape[1] in (1, 3)
    if not (last or second or reading.is_first):
        last, second = shape[3] == 4, shape[1] == 4
    require(last or second, "data", expected=expected, got=f"{pixels.dtype} {shape}")
    sure = not (last and second) or reading.is_first
    clear = f"{name} of one axis that can be the channels"
    require(sure, "data", expected=clear, got=f"{shape}, of which two can")
    first = np.moveaxis(pixels, 3, 1) if last else pixels
    return _opaque(first, rgb(reading.background)) if first.shape[1] == 4 else first


def _opaque(images: NDArray[np.uint8], background: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Images ``(N, 4, H, W)`` in front of a colour, where they are transparent."""
    behind = np.array(background, np.uint16)[None, :, None, None]
    opaque = np.empty((len(images), 3, *images.shape[2:]), np.uint8)
    for start in range(0, len(images), _ROWS):
        part = images[start : start + _ROWS].astype(np.uint16)
        alpha = part[:, 3:]
        opaque[start : start + _ROWS] = (part[:, :3] * alpha + behind * (255 - alpha) + 127) // 255
    return opaque
