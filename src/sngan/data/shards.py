"""Tar shards in WebDataset's layout, whose images are read where they lie."""

import glob
import json
import logging
import os
import re
import secrets
import tarfile
import weakref
from array import array
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sngan._checks import require
from sngan.data.cache import has_room, key
from sngan.data.chunks import Chunked, count_labels
from sngan.data.fingerprint import of_files
from sngan.data.types import Chunk, Item, Progress

PREFIX = "shards:"
_IMAGES = {"jpg", "jpeg", "png", "webp", "ppm", "pgm", "bmp", "gif", "tif", "tiff"}
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_LARGEST_LABEL = 2**20
_COLUMNS = 3
_log = logging.getLogger("sngan")


def open_shards(pattern: str, *, cache_dir: Path, progress: Progress | None = None) -> Chunked:
    """The shards that a glob or braces name: ``data/*.tar``, ``data/train-{000..099}.tar``.

    Members whose paths agree up to the first dot of the name are a sample: an image by extension,
    its label the integer in ``.cls`` or the ``label`` of ``.json``. Members are never extracted,
    and links not followed. Where the images lie and their labels are kept in ``cache_dir``.

    Raises
    ------
    ValueError
        No file of that name; a file that is compressed, damaged or no tar; no images.
    """
    files = _matching(pattern)
    stats = [file.stat() for file in files]
    stamp = [f"{f}:{s.st_size}:{s.st_mtime_ns}" for f, s in zip(files, stats, strict=True)]
    rows, lengths = _index(files, cache_dir / key("shards", *stamp), progress)
    require(len(rows) > 0, "data", expected=f"images in {pattern}", got="none by extension")
    members = np.split(rows, np.cumsum(lengths)[:-1])
    chunks = tuple(
        Chunk(len(part), partial(_Shard, file, part))
        for file, part in zip(files, members, strict=True)
        if len(part)
    )
    counts = count_labels(pattern, (part[:, 2] for part in members))
    content = of_files(files, files[0].parent)
    return Chunked(f"{PREFIX}{pattern}", chunks, "\n".join(stamp), counts, content=content)


class _Shard:
    """The images of a shard by their position."""

    def __init__(self, path: Path, members: NDArray[np.int64]) -> None:
        self._path, self._members = path, members
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __call__(self, position: int) -> Item:
        offset, size, label = self._members[position].tolist()
        return Item(f"{self._path}, image {position}", partial(self._read, size, offset), label)

    def _read(self, size: int, offset: int) -> bytes:
        # from any thread: it moves no position
        return os.pread(self._descriptor, size, offset)


def _matching(pattern: str) -> list[Path]:
    files: list[Path] = []
    for name in _expanded(str(Path(pattern).expanduser())):
        found = sorted(glob.glob(name))  # noqa: PTH207
        require(bool(found), "data", expected=f"tar files that match {pattern}", got=f"no {name}")
        files += map(Path, found)
    return files


def _expanded(pattern: str) -> Iterator[str]:
    """``a{1..3}`` and ``a{x,y}`` written out, as a shell does."""
    braces = re.search(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}", pattern)
    if braces is None:
        yield pattern
        return
    first, last, names = braces.groups()
    if names is None:
        names = ",".join(f"{n:0{len(first)}}" for n in range(int(first), int(last) + 1))
    for name in names.split(","):
        yield from _expanded(pattern[: braces.start()] + name + pattern[braces.end() :])


def _index(
    files: list[Path], stem: Path, progress: Progress | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Offset, size and label of each image, and how many each shard has."""
    kept = [stem.with_suffix(suffix) for suffix in (".members.npy", ".lengths.npy")]
    try:
        # mapped, so that an index of many millions takes no memory either
        rows, lengths = (np.load(file, mmap_mode="r") for file in kept)
        if len(rows) == lengths.sum():
            return rows, lengths
    except FileNotFoundError:
        pass
    except (OSError, ValueError, EOFError) as error:
        _log.warning("the index %s is damaged (%s): reading the shards again", kept[0], error)
    numbers = array("q")
    lengths = np.zeros(len(files), np.int64)
    for position, file in enumerate(files):
        before = len(numbers)
        for member in _members(file):
            numbers.extend(member)
        lengths[position] = (len(numbers) - before) // _COLUMNS
        if progress:
            progress(position + 1, len(files))
    rows = np.frombuffer(numbers, np.int64).reshape(-1, _COLUMNS)
    if has_room(stem.parent, rows.nbytes):
        for path, values in zip(kept, (rows, lengths), strict=True):
            temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
            np.save(temporary, values)
            temporary.replace(path)
    return rows, lengths


def _members(path: Path) -> Iterator[tuple[int, int, int]]:
    """Offset, size and label of each sample that has an image."""
    try:
        with path.open("rb") as file:
            begin = file.read(8)
            for magic, name in _COMPRESSED.items():
                plain = not begin.startswith(magic)
                require(plain, "data", expected="uncompressed tar files", got=f"{path}, {name}")
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:") as tar:
                yield from _samples(tar, file)
    except (tarfile.TarError, OSError) as error:
        raise ValueError(f"data: expected a whole tar file, got {path} ({error})") from error


def _samples(tar: tarfile.TarFile, file: IO[bytes]) -> Iterator[tuple[int, int, int]]:
    current, image, label = "", None, -1
    for member in _regular_members(tar, file):
        folder, _, name = member.name.rpartition("/")
        stem, _, extension = name.partition(".")
        if f"{folder}/{stem}" != current:
            if image:
                yield *image, label
            current, image, label = f"{folder}/{stem}", None, -1
        if stem and extension.lower() in _IMAGES:
            image = image or (member.offset_data, member.size)
        elif extension in _LABELS and member.size <= _LARGEST_LABEL and label < 0:
            file.seek(member.offset_data)
            label = _label(_LABELS[extension], file.read(member.size))
    if image:
        yield *image, label


def _regular_members(tar: tarfile.TarFile, file: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    while (member := tar.next()) is not None:
        # or it remembers all of them
        tar.members.clear()  # pyright: ignore
        if member.isreg() and not member.issparse():
            yield member
    # tarfile takes a damaged header for the end
    file.seek(tar.offset)  # pyright: ignore
    if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError(f"damaged at byte {tar.offset}")  # pyright: ignore


def _label(parse: Callable[[bytes], Any], content: bytes) -> int:
    try:
        value = parse(content)
    except (ValueError, KeyError, TypeError, RecursionError):
        return -1
    return value if isinstance(value, int) and 0 <= value < 2**63 else -1


_LABELS: dict[str, Callable[[bytes], Any]] = {
    "cls": int,
    "json": lambda content: json.loads(content)["label"],
}
