"""IDX files, the format of MNIST and its successors (LeCun, Cortes, Burges 1998)."""

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

import numpy as np
import torch
from torch import Tensor

from sngan.data.errors import short_reason
from sngan.data.fingerprint import of_files
from sngan.data.labels.splits import is_split, split_of
from sngan.data.memory import require_memory
from sngan.data.types import Arrays
from sngan.utils.checks import require
from sngan.utils.text import printable

_UINT8 = 8
# gzip compresses by a factor of at most about 1000
_LARGEST_COMPRESSION = 1100


def find_idx(folder: Path) -> list[Path]:
    """Return the IDX files of a folder; a plain file replaces its compressed copy."""
    found = [path for path in sorted(folder.iterdir()) if "-ubyte" in path.name.lower()]
    names = {path.name for path in found}
    return [path for path in found if path.name.removesuffix(".gz") not in names - {path.name}]


def open_idx(folder: Path, *, split: str) -> Arrays:
    """Read the images of one split, and its labels if there are any.

    Raises
    ------
    ValueError
        If there are no images of the split or several files of them, a file is damaged, or the
        labels do not fit.
    """
    files = [path for path in find_idx(folder) if _is_of(path, split)]
    images = _of_kind(files, "idx3")
    expected = f"one file of {split} images, such as train-images-idx3-ubyte.gz"
    names = [printable(path.name) for path in images or find_idx(folder)]
    require(len(images) == 1, "data", expected=expected, got=names)
    pixels = _read(images[0], dimensions=3).unsqueeze(1)
    labels = _of_kind(files, "idx1")
    if not labels:
        return Arrays(pixels, content=of_files(images, folder))
    names = [printable(path.name) for path in labels]
    expected = f"one file of {split} labels for {printable(images[0].name)}"
    require(len(labels) == 1, "data", expected=expected, got=names)
    classes = _read(labels[0], dimensions=1).long()
    fits = len(classes) == len(pixels)
    expected, got = f"{len(pixels)} labels", f"{len(classes)} in {printable(str(labels[0]))}"
    require(fits, "data", expected=expected, got=got)
    classes_named = tuple(str(c) for c in range(int(classes.max()) + 1))
    return Arrays(pixels, classes, classes_named, of_files([*images, *labels], folder))


def _is_of(path: Path, split: str) -> bool:
    """Whether a word of the name means the split: ``t10k-images…``, ``emnist-digits-test-…``."""
    words = path.name.lower().replace(".", "-").replace("_", "-").split("-")
    return any(is_split(split, word) for word in words if split_of(word) or word == split)


def _of_kind(files: Sequence[Path], kind: str) -> list[Path]:
    return [path for path in files if kind in path.name.lower()]


def _read(path: Path, *, dimensions: int) -> Tensor:
    shown = printable(str(path))
    try:
        with path.open("rb") as file:
            begin = file.read(2)
            file.seek(0)
            packed = begin == b"\x1f\x8b"
            plain = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if packed else file
            size = path.stat().st_size * (_LARGEST_COMPRESSION if packed else 1)
            shape, data = _content(plain, shown, size=size, dimensions=dimensions)
    except (OSError, EOFError, zlib.error) as error:
        got = f"{shown} ({short_reason(error)})"
        raise ValueError(f"data: expected a whole IDX file, got {got}") from error
    return torch.from_numpy(np.frombuffer(data, np.uint8).reshape(shape).copy())


def _content(
    file: IO[bytes], shown: str, *, size: int, dimensions: int
) -> tuple[tuple[int, ...], bytes]:
    """Read the shape and the bytes; the file can hold at most ``size`` bytes."""
    begin = file.read(4)
    sizes = file.read(4 * dimensions)
    is_idx = begin == bytes([0, 0, _UINT8, dimensions]) and len(sizes) == 4 * dimensions
    kind = f"an IDX file of bytes in {dimensions} dimensions"
    require(is_idx, "data", expected=kind, got=f"{shown}, which begins {begin!r}")
    shape = struct.unpack(f">{dimensions}I", sizes)
    expected = math.prod(shape)
    fits = 0 < expected <= size
    require(fits, "data", expected=f"{expected} bytes in {shown}", got=f"at most {size}")
    require_memory(shape, 1, shown)
    data = file.read(expected)
    more = file.read(1)
    got = f"{len(data)}{' and more' if more else ''}"
    whole = len(data) == expected and not more
    require(whole, "data", expected=f"{expected} bytes in {shown}", got=got)
    return shape, data
