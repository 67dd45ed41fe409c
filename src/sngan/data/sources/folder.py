"""A folder of images: its files, links followed, without what is not meant."""

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sngan.data.errors import reason
from sngan.data.fingerprint import some_bytes
from sngan.data.images.pixels import LARGEST_FILE
from sngan.data.sources.image_files import Named, encoded_of, is_hidden
from sngan.data.types import Content, Encoded, Reading, Skipped
from sngan.utils.text import printable

# the mark of a folder that sngan wrote; the first versions left only their files
_MARK = ".sngan"
_SETTINGS = ("config.yaml", "plan.json")
_BESIDE = {"metrics.jsonl", "checkpoints", "compare.json", "train.log"}


def open_folder(path: Path, reading: Reading) -> Encoded:
    """All files below ``path``; hidden ones and runs of sngan are left out.

    Links to files and folders are followed, to each folder once.

    Raises
    ------
    ValueError
        If there are no images, or not the split or the labels that are asked for.
    """
    # strings and not paths: they are half of the time that a second start takes
    root = os.path.join(path, "")  # noqa: PTH118
    walk = _Walk(root, is_first=reading.is_first)
    found = list(walk.files())
    names = [name for name, _ in found]

    def read(index: int) -> bytes:
        return some_bytes(root + names[index])

    named = Named(
        str(path),
        names,
        partial(_read, root),
        stamp=[f"{name}:{status.st_size}:{status.st_mtime_ns}" for name, status in found],
        content=Content(names, [status.st_size for _, status in found], read),
        skipped=walk.skipped,
        remarks=walk.remarks(),
    )
    return encoded_of(named, reading)


class _Walk:
    """The regular files below a folder, and what could not be looked at."""

    def __init__(self, root: str, *, is_first: bool) -> None:
        self._root, self._is_first = root, is_first
        self._links: list[str] = []
        self._seen: set[tuple[int, int]] = set()
        self._runs: list[str] = []
        self.skipped: list[Skipped] = []

    def files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Names below the root, and what the system knows of each; links to folders come last.

        A folder's files come before its folders, both in the order of their names.
        """
        yield from self._below(self._root)
        while self._links:
            yield from self._below(self._links.pop(0))

    def remarks(self) -> list[str]:
        """The folders that are left out because sngan wrote them, in words."""
        shown = ", ".join(map(printable, self._runs[:3]))
        return [f"left out what sngan wrote: {shown}"] if shown else []

    def _below(self, folder: str) -> Iterator[tuple[str, os.stat_result]]:
        folders = [folder]
        while folders:
            inner: list[str] = []
            for entry in self._entries(folders.pop()):
                name = entry.path.removeprefix(self._root).replace(os.sep, "/")
                hidden = is_hidden(entry.name, is_first=self._is_first)
                status = None if hidden else self._status(entry)
                if status is None:
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield name, status
                elif stat.S_ISDIR(status.st_mode) and not entry.is_symlink():
                    inner.append(entry.path)
                elif stat.S_ISDIR(status.st_mode) and not self._is_first:
                    self._links.append(entry.path)
            folders += reversed(inner)

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            status = os.stat(folder)  # noqa: PTH116
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            self._skip(folder, error)
            return []
        # a folder that several links lead to is read once
        key = status.st_dev, status.st_ino
        if key in self._seen:
            return []
        self._seen.add(key)
        if self._is_run(folder, entries):
            self._runs.append(folder.removeprefix(self._root))
            return []
        return entries

    def _is_run(self, folder: str, entries: list[os.DirEntry[str]]) -> bool:
        """Whether sngan wrote a folder, which lies inside the data where it was started there."""
        names = {entry.name for entry in entries}
        is_old = any(name in names for name in _SETTINGS) and bool(names & _BESIDE)
        return (is_old or _MARK in names) and folder != self._root and not self._is_first

    def _status(self, entry: os.DirEntry[str]) -> os.stat_result | None:
        """Of a file or the target of a link."""
        try:
            return entry.stat()
        except OSError as error:
            # a link to nothing was no file at first
            if not self._is_first:
                self._skip(entry.path, error)
            return None

    def _skip(self, path: str, error: OSError) -> None:
        name = printable(path.removeprefix(self._root)) or "."
        self.skipped.append(Skipped(name, error.strerror or reason(error)))


def _read(root: str, name: str) -> bytes:
    with open(root + name, "rb", buffering=0) as file:  # noqa: PTH123
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST_FILE:
            raise ValueError(f"it has {size} bytes, over {LARGEST_FILE}")
        return file.read()
