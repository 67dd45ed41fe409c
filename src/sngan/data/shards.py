"""Tar shards in WebDataset's layout, whose images are read where they lie."""

import json
import logging
import os
import weakref
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sngan.data import first_reading, labels
from sngan.data.cache import has_room, key
from sngan.data.chunks import Chunked, count_labels
from sngan.data.fingerprint import of_files
from sngan.data.formats import SUFFIXES
from sngan.data.labels import Labels
from sngan.data.layout import arrange
from sngan.data.pixels import LARGEST_FILE
from sngan.data.shard_names import matching, of_split
from sngan.data.tars import samples
from sngan.data.types import Chunk, Item, Progress, Reading
from sngan.utils.checks import require
from sngan.utils.files import atomic_write
from sngan.utils.plain import write_json
from sngan.utils.text import printable

PREFIX = "shards:"
_COLUMNS = 5
_OFFSET, _SIZE, _LABEL, _FOLDER, _DOTTED = range(_COLUMNS)
# names of each folder by which its layout is told
_NAMES_OF_FOLDER = 3
_LARGEST_CLASS = 2**20
_log = logging.getLogger("sngan")


@dataclass
class _Index:
    """Rows of all images, how many each shard has, and the texts that the rows number.

    A label of text is −2, −3 … for the first, the second … of ``texts``.
    """

    rows: NDArray[np.int64]
    lengths: NDArray[np.int64]
    texts: list[str] = field(default_factory=list[str])
    folders: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    passed_over: int = 0
    unused: dict[str, int] = field(default_factory=dict[str, int])


def open_shards(
    pattern: str, reading: Reading, *, cache_dir: Path, progress: Progress | None = None
) -> Chunked:
    """The shards that a glob or braces name: ``data/*.tar``, ``data/train-{000..099}.tar``.

    Members whose paths agree up to the first dot of the name are a sample: an image by extension,
    its label the number or text in ``.cls`` or the ``label`` of ``.json``, else its folder. Where
    the images lie and their labels are kept in ``cache_dir``.

    Raises
    ------
    ValueError
        No file of that name; a file that is compressed, damaged or no tar; no images.
    """
    files = matching(pattern)
    if not reading.is_first:
        files, reading = of_split(files, reading, pattern)
    stats = [file.stat() for file in files]
    stamp = [f"{f}:{s.st_size}:{s.st_mtime_ns}" for f, s in zip(files, stats, strict=True)]
    shown = printable(pattern)
    name = key("shards 2", reading.is_first, *stamp)
    index = _index(files, cache_dir / name, progress, is_first=reading.is_first)
    require(len(index.rows) > 0, "data", expected=f"images in {shown}", got="none by extension")
    expected = "auto, none or folders for shards"
    fits = reading.labels in ("auto", "none", "folders")
    require(fits, "data.labels", expected=expected, got=repr(reading.labels))
    if reading.is_first:
        numbers = index.rows[:, _LABEL]
        known, keep = Labels(np.where(numbers < 0, -1, numbers), ()), np.ones(len(numbers), bool)
    else:
        keep = _meant(index, shown)
        for reason, count in index.unused.items() if reading.labels == "auto" else ():
            _log.warning("%s: %d %s", shown, count, reason)
        known, in_split = _labels(index, keep, reading, shown)
        keep &= in_split
        keep[keep] = labels.kept(known.classes[keep], shown)
        require(bool(keep.any()), "data", expected=f"images in {shown}", got="none with a label")
    chunks = tuple(_chunks(files, index, known.classes, keep))
    counts = count_labels(shown, [known.classes[keep]])
    content = of_files(files, files[0].parent)
    text = "\n".join(stamp)
    return Chunked(f"{PREFIX}{pattern}", chunks, text, counts, known.names, content)


def _chunks(
    files: list[Path], index: _Index, classes: NDArray[np.int64], keep: NDArray[np.bool_]
) -> Iterator[Chunk]:
    ends = np.cumsum(index.lengths).tolist()
    for file, start, end in zip(files, [0, *ends[:-1]], ends, strict=True):
        own = np.flatnonzero(keep[start:end]) + start
        if len(own):
            yield Chunk(len(own), partial(_Shard, file, index.rows, own, classes))


class _Shard:
    """The images of a shard by their position."""

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
        offset, size = self._members[position, :_LABEL].tolist()
        read = partial(self._read, size, offset)
        return Item(f"{self._path}, image {position}", read, int(self._classes[position]))

    def _read(self, size: int, offset: int) -> bytes:
        if size > LARGEST_FILE:
            raise ValueError(f"it has {size} bytes, over {LARGEST_FILE}")
        # from any thread: it moves no position
        return os.pread(self._descriptor, size, offset)


def _meant(index: _Index, name: str) -> NDArray[np.bool_]:
    """All images, but those of names with several dots where other names have one."""
    dotted = index.rows[:, _DOTTED] > 0
    plain = ~dotted
    keep = plain if plain.any() else dotted
    left_out = index.passed_over + int((~keep).sum())
    if left_out:
        _log.warning(
            "%s: %d images are passed over: further ones of a sample, links, names of several dots",
            name, left_out,
        )  # fmt: skip
    return keep.copy()


def _labels(
    index: _Index, keep: NDArray[np.bool_], reading: Reading, name: str
) -> tuple[Labels, NDArray[np.bool_]]:
    """The class of each image, and which images are of the split."""
    numbers = index.rows[:, _LABEL]
    has_labels = bool((numbers[keep] != -1).any()) and reading.labels == "auto"
    how = reading._replace(labels="none") if has_labels else reading
    found, in_split = _of_folders(index, keep, how, name)
    if reading.labels == "none" or not has_labels:
        return found, in_split
    few = len(np.unique(numbers[keep & in_split])) > 1
    if index.texts and few:
        texts = np.array(["", *index.texts])
        whole = np.where(numbers < 0, texts[np.maximum(-numbers - 1, 0)], numbers.astype(str))
        return labels.encode(whole, name), in_split
    if numbers.max() >= _LARGEST_CLASS and few:
        return labels.encode(numbers, name), in_split
    most = int(numbers.max())
    names = tuple(map(str, range(most + 1))) if most < _LARGEST_CLASS else ()
    return Labels(np.where(numbers < 0, -1, numbers), names), in_split


def _of_folders(
    index: _Index, keep: NDArray[np.bool_], reading: Reading, name: str
) -> tuple[Labels, NDArray[np.bool_]]:
    """Classes and splits by the folders of the members."""
    of_row = index.rows[:, _FOLDER]
    used = set(np.unique(of_row[keep]).tolist())
    names: list[str] = []
    folder_of_name: list[int] = []
    for number, (folder, stems) in enumerate(index.folders.items()):
        if number in used:
            names += [f"{folder}/{stem}.png" if folder else f"{stem}.png" for stem in stems]
            folder_of_name += [number] * len(stems)
    laid = arrange(names, reading, where=name)
    for remark in laid.remarks:
        _log.warning("%s: %s", name, remark)
    order = sorted(set(laid.classes))
    classes = np.full(len(index.folders), -1, np.int64)
    kept = np.zeros(len(index.folders), bool)
    for position, at in enumerate(laid.indices):
        kept[folder_of_name[at]] = True
        if order:
            classes[folder_of_name[at]] = order.index(laid.classes[position])
    return Labels(classes[of_row], tuple(map(printable, order))), kept[of_row]


def _index(files: list[Path], stem: Path, progress: Progress | None, *, is_first: bool) -> _Index:
    """The index of these files, kept from an earlier start or made now."""
    kept = [stem.with_suffix(suffix) for suffix in (".members.npy", ".lengths.npy", ".names.json")]
    try:
        # mapped, so that an index of many millions takes no memory either
        rows, lengths = (np.load(file, mmap_mode="r") for file in kept[:2])
        rest: dict[str, Any] = json.loads(kept[2].read_text())
        if len(rows) == lengths.sum() and rows.shape[1] == _COLUMNS:
            return _Index(rows, lengths, **rest)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, EOFError, TypeError, IndexError) as error:
        _log.warning("the index %s is damaged (%s): reading the shards again", kept[0], error)
    index = _scanned(files, progress, is_first=is_first)
    _keep(index, kept)
    return index


def _scanned(files: list[Path], progress: Progress | None, *, is_first: bool) -> _Index:
    numbers = array("q")
    lengths = np.zeros(len(files), np.int64)
    texts: dict[str, int] = {}
    folders: dict[str, int] = {}
    names: dict[str, list[str]] = {}
    passed_over = 0
    unused: Counter[str] = Counter()
    extensions = first_reading.IMAGES if is_first else SUFFIXES
    for position, file in enumerate(files):
        before = len(numbers)
        for sample in samples(file, extensions, is_first=is_first, unused=unused):
            if is_first and sample.is_dotted:
                continue
            label = -1 if sample.label is None else sample.label
            if isinstance(label, str):
                label = -1 if is_first else -2 - texts.setdefault(label, len(texts))
            folder = folders.setdefault(sample.folder, len(folders))
            stems = names.setdefault(sample.folder, [])
            if len(stems) < _NAMES_OF_FOLDER:
                stems.append(sample.stem)
            passed_over += sample.passed_over
            numbers.extend((sample.offset, sample.size, label, folder, sample.is_dotted))
        lengths[position] = (len(numbers) - before) // _COLUMNS
        if progress:
            progress(position + 1, len(files))
    rows = np.frombuffer(numbers, np.int64).reshape(-1, _COLUMNS)
    return _Index(rows, lengths, list(texts), names, passed_over, dict(unused))


def _keep(index: _Index, kept: list[Path]) -> None:
    """Write an index for the next start, where the disk takes it."""
    if not has_room(kept[0].parent, index.rows.nbytes):
        return
    rest = {name: getattr(index, name) for name in ("texts", "folders", "passed_over", "unused")}
    try:
        for path, values in zip(kept, (index.rows, index.lengths), strict=False):
            with atomic_write(path) as temporary, temporary.open("wb") as file:
                np.save(file, values)
        write_json(kept[2], rest)
    except OSError as error:
        _log.warning("the index of the shards is not kept: %s", error)
