"""Tar shards in WebDataset's layout: images are read from the tar by their offset."""

import logging
import os
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sngan.data.cache import cache_key
from sngan.data.fingerprint import of_files
from sngan.data.images.pixels import LARGEST_FILE
from sngan.data.labels.encoding import Labels, encode
from sngan.data.labels.folder_layout import find_layout
from sngan.data.labels.missing import rows_to_read
from sngan.data.sources.chunked import ChunkedSource, count_labels
from sngan.data.sources.shard_index import DOTTED, FOLDER, LABEL, ShardIndex, load_index
from sngan.data.sources.shard_patterns import expand_pattern, shards_of_split
from sngan.data.types import Chunk, Item, Progress, ReadOptions
from sngan.utils.checks import require
from sngan.utils.text import counted, printable

PREFIX = "shards:"
_LARGEST_CLASS = 2**20
_log = logging.getLogger("sngan")


def open_shards(
    pattern: str, options: ReadOptions, *, cache_dir: Path, progress: Progress | None = None
) -> ChunkedSource:
    """Open the shards that a glob or braces name: ``data/*.tar``, ``data/train-{000..099}.tar``.

    Members whose paths agree up to the first dot of the name form a sample: an image by its
    extension, and a label, which is the number or text in ``.cls``, the ``label`` in ``.json``, or
    else the folder. The offsets of the images and their labels are kept in ``cache_dir``.

    Parameters
    ----------
    pattern
        A glob or braces.
    options
        The settings that the files are read with.
    cache_dir
        The folder of the index.
    progress
        Called with (shards read, all shards) while the index is made.

    Raises
    ------
    ValueError
        If no file matches, a file is compressed, damaged or no tar, or there are no images.
    """
    files = expand_pattern(pattern)
    if not options.is_legacy:
        files, options = shards_of_split(files, options, pattern)
    stats = [file.stat() for file in files]
    stamp = [f"{f}:{s.st_size}:{s.st_mtime_ns}" for f, s in zip(files, stats, strict=True)]
    shown = printable(pattern)
    name = cache_key("shards 2", options.is_legacy, *stamp)
    index = load_index(files, cache_dir / name, progress, is_legacy=options.is_legacy)
    require(len(index.rows) > 0, "data", expected=f"images in {shown}", got="none by extension")
    expected = "auto, none or folders for shards"
    fits = options.labels in ("auto", "none", "folders")
    require(fits, "data.labels", expected=expected, got=repr(options.labels))
    known, keep = _select(index, options, shown)
    chunks = tuple(_chunks(files, index, known.classes, keep))
    counts = count_labels(shown, [known.classes[keep]])
    content = of_files(files, files[0].parent)
    text = "\n".join(stamp)
    return ChunkedSource(f"{PREFIX}{pattern}", chunks, text, counts, known.names, content)


def _select(index: ShardIndex, options: ReadOptions, name: str) -> tuple[Labels, NDArray[np.bool_]]:
    """The class of each image, and a mask of the images to read."""
    if options.is_legacy:
        numbers = index.rows[:, LABEL]
        return Labels(np.where(numbers < 0, -1, numbers), ()), np.ones(len(numbers), bool)
    keep = _images_to_read(index, name)
    if options.labels == "auto":
        for reason, count in index.unused.items():
            _log.warning("%s: %d %s", name, count, reason)
    known, in_split = _labels(index, keep, options, name)
    keep &= in_split
    keep[keep] = rows_to_read(known.classes[keep], name)
    require(bool(keep.any()), "data", expected=f"images in {name}", got="none with a label")
    return known, keep


def _chunks(
    files: list[Path], index: ShardIndex, classes: NDArray[np.int64], keep: NDArray[np.bool_]
) -> Iterator[Chunk]:
    ends = np.cumsum(index.lengths).tolist()
    for file, start, end in zip(files, [0, *ends[:-1]], ends, strict=True):
        own = np.flatnonzero(keep[start:end]) + start
        if len(own):
            yield Chunk(len(own), partial(_Shard, file, index.rows, own, classes))


class _Shard:
    """The images of a shard by their position, read from an open file."""

    def __init__(
        self,
        path: Path,
        rows: NDArray[np.int64],
        own: NDArray[np.int64],
        classes: NDArray[np.int64],
    ) -> None:
        self._path = path
        self._members, self._classes = rows[own], classes[own]
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __call__(self, position: int) -> Item:
        offset, size = self._members[position, :LABEL].tolist()
        read = partial(self._read, size, offset)
        return Item(f"{self._path}, image {position}", read, int(self._classes[position]))

    def _read(self, size: int, offset: int) -> bytes:
        if size > LARGEST_FILE:
            raise ValueError(f"it has {size} bytes, over {LARGEST_FILE}")
        # pread has no file position, so any thread may call it
        return os.pread(self._descriptor, size, offset)


def _images_to_read(index: ShardIndex, name: str) -> NDArray[np.bool_]:
    """Mark the images whose name has one dot, or all images if every name has several dots."""
    dotted = index.rows[:, DOTTED] > 0
    plain = ~dotted
    keep = plain if plain.any() else dotted
    left_out = index.passed_over + int((~keep).sum())
    if left_out:
        _log.warning(
            "%s: %s passed over: second ones of a sample, links, names of several dots",
            name,
            counted(left_out, "image is", "images are"),
        )
    return keep.copy()


def _labels(
    index: ShardIndex, keep: NDArray[np.bool_], options: ReadOptions, name: str
) -> tuple[Labels, NDArray[np.bool_]]:
    """The class of each image, and a mask of the images that belong to the split."""
    numbers = index.rows[:, LABEL]
    has_labels = bool((numbers[keep] != -1).any()) and options.labels == "auto"
    chosen_options = options._replace(labels="none") if has_labels else options
    found, in_split = _of_folders(index, keep, chosen_options, name)
    if options.labels == "none" or not has_labels:
        return found, in_split
    has_classes = len(np.unique(numbers[keep & in_split])) > 1
    if index.texts and has_classes:
        texts = np.array(["", *index.texts])
        whole = np.where(numbers < 0, texts[np.maximum(-numbers - 1, 0)], numbers.astype(str))
        return encode(whole, name), in_split
    if numbers.max() >= _LARGEST_CLASS and has_classes:
        return encode(numbers, name), in_split
    most = int(numbers.max())
    names = tuple(map(str, range(most + 1))) if most < _LARGEST_CLASS else ()
    return Labels(np.where(numbers < 0, -1, numbers), names), in_split


def _of_folders(
    index: ShardIndex, keep: NDArray[np.bool_], options: ReadOptions, name: str
) -> tuple[Labels, NDArray[np.bool_]]:
    """The class and the split of each image by the folder of its member."""
    of_row = index.rows[:, FOLDER]
    used = set(np.unique(of_row[keep]).tolist())
    names: list[str] = []
    folder_of_name: list[int] = []
    for number, (folder, stems) in enumerate(index.folders.items()):
        if number in used:
            names += [f"{folder}/{stem}.png" if folder else f"{stem}.png" for stem in stems]
            folder_of_name += [number] * len(stems)
    layout = find_layout(names, options, where=name)
    for remark in layout.remarks:
        _log.warning("%s: %s", name, remark)
    order = sorted(set(layout.classes))
    classes = np.full(len(index.folders), -1, np.int64)
    kept = np.zeros(len(index.folders), bool)
    for position, at in enumerate(layout.indices):
        kept[folder_of_name[at]] = True
        if order:
            classes[folder_of_name[at]] = order.index(layout.classes[position])
    return Labels(classes[of_row], tuple(map(printable, order))), kept[of_row]
