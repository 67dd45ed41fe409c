"""Shard index: the offset, size, label and folder of each image in tar shards, kept on disk."""

import json
import logging
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sngan.data import legacy
from sngan.data.cache import has_room
from sngan.data.images.formats import SUFFIXES
from sngan.data.sources.tar_samples import scan_tar
from sngan.data.types import Progress
from sngan.utils.files import atomic_write
from sngan.utils.plain import write_json

COLUMNS = 5
OFFSET, SIZE, LABEL, FOLDER, DOTTED = range(COLUMNS)
"""The columns of an index."""
# this many names of each folder are enough to find the layout
_NAMES_OF_FOLDER = 3
_log = logging.getLogger("sngan")


@dataclass
class ShardIndex:
    """The index of all images: one row each, the number of each shard's rows, and text labels.

    In a row, −2 stands for the first text in ``texts``, −3 for the second, and so on.
    """

    rows: NDArray[np.int64]
    lengths: NDArray[np.int64]
    texts: list[str] = field(default_factory=list[str])
    folders: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    passed_over: int = 0
    unused: dict[str, int] = field(default_factory=dict[str, int])


def load_index(
    files: list[Path], stem: Path, progress: Progress | None, *, is_legacy: bool
) -> ShardIndex:
    """Load the index of these files from an earlier start, or make it now.

    Parameters
    ----------
    files
        The shards.
    stem
        The path of the kept index, without a suffix.
    progress
        Called with (shards read, all shards).
    is_legacy
        Whether to read as version 1 did.
    """
    kept = [stem.with_suffix(suffix) for suffix in (".members.npy", ".lengths.npy", ".names.json")]
    try:
        # mapped: an index of many millions of images takes no memory
        rows, lengths = (np.load(file, mmap_mode="r") for file in kept[:2])
        rest: dict[str, Any] = json.loads(kept[2].read_text())
        if len(rows) == lengths.sum() and rows.shape[1] == COLUMNS:
            return ShardIndex(rows, lengths, **rest)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, EOFError, TypeError, IndexError) as error:
        _log.warning("the index %s is damaged (%s): reading the shards again", kept[0], error)
    index = _scan(files, progress, is_legacy=is_legacy)
    _save(index, kept)
    return index


def _scan(files: list[Path], progress: Progress | None, *, is_legacy: bool) -> ShardIndex:
    numbers = array("q")
    lengths = np.zeros(len(files), np.int64)
    texts: dict[str, int] = {}
    folders: dict[str, int] = {}
    names: dict[str, list[str]] = {}
    passed_over = 0
    unused: Counter[str] = Counter()
    extensions = legacy.IMAGE_SUFFIXES if is_legacy else SUFFIXES
    for position, file in enumerate(files):
        before = len(numbers)
        for sample in scan_tar(file, extensions, is_legacy=is_legacy, unused=unused):
            if is_legacy and sample.is_dotted:
                continue
            label = -1 if sample.label is None else sample.label
            if isinstance(label, str):
                label = -1 if is_legacy else -2 - texts.setdefault(label, len(texts))
            folder = folders.setdefault(sample.folder, len(folders))
            stems = names.setdefault(sample.folder, [])
            if len(stems) < _NAMES_OF_FOLDER:
                stems.append(sample.stem)
            passed_over += sample.passed_over
            numbers.extend((sample.offset, sample.size, label, folder, sample.is_dotted))
        lengths[position] = (len(numbers) - before) // COLUMNS
        if progress:
            progress(position + 1, len(files))
    rows = np.frombuffer(numbers, np.int64).reshape(-1, COLUMNS)
    return ShardIndex(rows, lengths, list(texts), names, passed_over, dict(unused))


def _save(index: ShardIndex, kept: list[Path]) -> None:
    """Write an index for the next start, if the disk has room."""
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
