"""Samples that come as arrays: ``.npz`` and ``.npy`` files, and what other sources unpack to."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sngan._checks import require
from sngan.data.dataset import Dataset
from sngan.data.decoding import default_side, fit
from sngan.data.fingerprint import of_files
from sngan.data.types import Arrays, Form

_SAMPLE_KEYS = ("samples", "images", "x", "x_train", "data", "arr_0")
_LABEL_KEYS = ("labels", "label", "y", "y_train", "arr_1")


def open_arrays(path: Path) -> Arrays:
    """Read ``.npy``, or the arrays ``samples``/``images``/``x`` … and ``labels``/``y`` of ``.npz``.

    Images are ``(N, H, W)``, ``(N, C, H, W)`` or ``(N, H, W, C)``; integers in 0 … 255, or floats
    in [0, 1] or [−1, 1]. Two-dimensional floats are points.

    Raises
    ------
    ValueError
        A damaged file, no such array, another shape or range.
    """
    try:
        with path.open("rb") as file:
            loaded: Any = np.load(file, allow_pickle=False)
            arrays = {path.name: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"data: expected arrays in {path}, got {reason}") from error
    key = _first(_SAMPLE_KEYS, arrays) or next(iter(arrays), None)
    require(key is not None, "data", expected=f"an array in {path}", got="none")
    assert key is not None
    samples = _samples(arrays[key], f"{path}[{key}]")
    content = of_files([path], path)
    label_key = _first(_LABEL_KEYS, arrays)
    if label_key is None or label_key == key:
        return Arrays(samples, content=content)
    labels = torch.from_numpy(np.asarray(arrays[label_key]).astype(np.int64).reshape(-1))
    require(
        len(labels) == len(samples),
        "data",
        expected=f"as many labels as samples, {len(samples)}",
        got=len(labels),
    )
    return Arrays(samples, labels, content=content)


def to_dataset(name: str, arrays: Arrays, *, side: int | None, channels: int | None) -> Dataset:
    """Give the images the side and channels asked for, as decoded ones get them."""
    samples = arrays.samples
    if samples.dim() == 4:
        height, width = samples.shape[2:]
        form = Form(side or default_side(width, height), channels or samples.shape[1])
        if tuple(samples.shape[1:]) != (form.channels, form.side, form.side):
            samples = torch.from_numpy(np.stack([fit(_picture(one), form) for one in samples]))
    return Dataset(name, samples, arrays.labels, arrays.class_names, content=arrays.content)


def _picture(image: Tensor) -> Any:
    from PIL import Image

    pixels = image.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)


def _first(keys: tuple[str, ...], arrays: dict[str, Any]) -> str | None:
    return next((key for key in keys if key in arrays), None)


def _samples(array: NDArray[Any], name: str) -> Tensor:
    numeric = array.dtype.kind in "uif" and array.size > 0
    require(numeric, "data", expected=f"numbers in {name}", got=f"{array.dtype} {array.shape}")
    if array.dtype.kind == "f":
        require(bool(np.isfinite(array).all()), "data", expected=f"finite {name}", got="nan or inf")
    if array.ndim == 2 and array.dtype.kind == "f":
        return torch.from_numpy(array.astype(np.float32))
    pixels = torch.from_numpy(_pixels(array, name))
    if pixels.dim() == 3:
        return pixels.unsqueeze(1)
    is_4d = pixels.dim() == 4 and (pixels.shape[3] in (1, 3) or pixels.shape[1] in (1, 3))
    shapes = "points (N, dim) of floats, or images (N, H, W), (N, C, H, W) or (N, H, W, C)"
    require(is_4d, "data", expected=f"{shapes} in {name}", got=f"{array.dtype} {array.shape}")
    return pixels.permute(0, 3, 1, 2).contiguous() if pixels.shape[3] in (1, 3) else pixels


def _pixels(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    low, high = array.min(), array.max()
    if array.dtype.kind == "f":
        known = low >= -1 and high <= 1
        expected = f"floats of {name} in [0, 1] or [-1, 1]"
        require(known, "data", expected=expected, got=f"[{low:g}, {high:g}]")
        scaled = array * 255 if low >= 0 else (array + 1) * 127.5
        return np.rint(scaled).astype(np.uint8)
    inside = low >= 0 and high <= 255
    require(inside, "data", expected=f"integers of {name} in 0 … 255", got=f"{low} … {high}")
    return array.astype(np.uint8)
