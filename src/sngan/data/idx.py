"""IDX files, the format of MNIST and its family (LeCun, Cortes, Burges 1998)."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sngan._checks import require
from sngan.data.fingerprint import of_files
from sngan.data.types import Arrays

_PREFIX = {"train": "train", "test": "t10k"}
_UINT8 = 8


def find_idx(folder: Path) -> list[Path]:
    """The IDX files of a folder, compressed or not."""
    return sorted(path for path in folder.iterdir() if "-ubyte" in path.name)


def open_idx(folder: Path, *, split: str) -> Arrays:
    """Read the images and, if they are there, the labels of one split.

    Raises
    ------
    ValueError
        No images of the split, a damaged file, or labels that do not fit.
    """
    files = [path for path in find_idx(folder) if _PREFIX.get(split, split) in path.name]
    images = [path for path in files if "idx3" in path.name]
    expected = f"one file of {split} images, such as train-images-idx3-ubyte.gz"
    require(len(images) == 1, "data", expected=expected, got=[path.name for path in images])
    pixels = _read(images[0], dimensions=3).unsqueeze(1)
    labels = [path for path in files if "idx1" in path.name]
    if not labels:
        return Arrays(pixels, content=of_files(images, folder))
    classes = _read(labels[0], dimensions=1).long()
    fits = len(classes) == len(pixels)
    require(fits, "data", expected=f"{len(pixels)} labels", got=f"{len(classes)} in {labels[0]}")
    names = tuple(str(c) for c in range(int(classes.max()) + 1))
    return Arrays(pixels, classes, names, of_files([*images, *labels], folder))


def _read(path: Path, *, dimensions: int) -> Tensor:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"data: expected a whole IDX file, got {path} ({error})") from error
    header = 4 + 4 * dimensions
    is_idx = len(data) >= header and data[:4] == bytes([0, 0, _UINT8, dimensions])
    kind = f"an IDX file of bytes in {dimensions} dimensions"
    require(is_idx, "data", expected=kind, got=f"{path}, which begins {data[:4]!r}")
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    whole = len(data) - header == math.prod(shape) > 0
    require(whole, "data", expected=f"{math.prod(shape)} bytes in {path}", got=len(data) - header)
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=header).reshape(shape).copy())
