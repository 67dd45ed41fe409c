"""Folder of images: all files below it, also through links, without hidden files and runs."""

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sngan.data.errors import short_reason
from sngan.data.fingerprint import some_bytes
from sngan.data.images.pixels import LARGEST_FILE
from sngan.data.sources.image_files import ImageFiles, encoded_images, is_hidden
from sngan.data.types import Content, Encoded, ReadOptions, Skipped
from sngan.utils.text import printable

# sngan marks the folders that it writes; the first versions left only their files
_MARK = ".sngan"
_RUN_SETTINGS = ("config.yaml", "plan.json")
_RUN_FILES = {"metrics.jsonl", "checkpoints", "compare.json", "train.log"}


def open_folder(path: Path, options: ReadOptions) -> Encoded:
    """Open all images below ``path``; hidden files and runs of sngan are left out.

    Links to files and folders are followed, and each folder is read once.

    Raises
    ------
    ValueError
        If there are no images, or the split or labels that were asked for are missing.
    """
    # strings instead of Path objects halve the time of a start with cached images
    root = os.path.join(path, "")  # noqa: PTH118
    walk = _Walk(root, is_legacy=options.is_legacy)
    found = list(walk.files())
    names = [name for name, _ in found]

    def read(index: int) -> bytes:
        return some_bytes(root + names[index])

    files = ImageFiles(
        str(path),
        names,
        partial(_read, root),
        stamp=[f"{name}:{status.st_size}:{status.st_mtime_ns}" for name, status in found],
        content=Content(names, [status.st_size for _, status in found], read),
        skipped=walk.skipped,
        remarks=walk.remarks(),
    )
    return encoded_images(files, options)


class _Walk:
    """The regular files below a folder, and the paths that could not be read."""

    def __init__(self, root: str, *, is_legacy: bool) -> None:
        self._root, self._is_legacy = root, is_legacy
        self._links: list[str] = []
        self._seen: set[tuple[int, int]] = set()
        self._runs: list[str] = []
        self.skipped: list[Skipped] = []

    def files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Return names below the root with their file status; linked folders come last.

        The files of a folder come before its folders, both sorted by name.
        """
        yield from self._below(self._root)
        while self._links:
            yield from self._below(self._links.pop(0))

    def remarks(self) -> list[str]:
        """Return a remark on the folders that were left out because sngan wrote them."""
        shown = ", ".join(map(printable, self._runs[:3]))
        return [f"left out folders that sngan wrote: {shown}"] if shown else []

    def _below(self, folder: str) -> Iterator[tuple[str, os.stat_result]]:
        folders = [folder]
        while folders:
            inner: list[str] = []
            for entry in self._entries(folders.pop()):
                name = entry.path.removeprefix(self._root).replace(os.sep, "/")
                hidden = is_hidden(entry.name, is_legacy=self._is_legacy)
                status = None if hidden else self._status(entry)
                if status is None:
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield name, status
                elif stat.S_ISDIR(status.st_mode) and not entry.is_symlink():
                    inner.append(entry.path)
                elif stat.S_ISDIR(status.st_mode) and not self._is_legacy:
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
        # several links may lead to one folder: read it once
        key = status.st_dev, status.st_ino
        if key in self._seen:
            return []
        self._seen.add(key)
        if self._is_run(folder, entries):
            self._runs.append(folder.removeprefix(self._root))
            return []
        return entries

    def _is_run(self, folder: str, entries: list[os.DirEntry[str]]) -> bool:
        """Whether sngan wrote a folder, such as a run that was started inside the data."""
        names = {entry.name for entry in entries}
        is_old = any(name in names for name in _RUN_SETTINGS) and bool(names & _RUN_FILES)
        return (is_old or _MARK in names) and folder != self._root and not self._is_legacy

    def _status(self, entry: os.DirEntry[str]) -> os.stat_result | None:
        """The status of a file or of the target of a link; ``None`` if it cannot be read."""
        try:
            return entry.stat()
        except OSError as error:
            # version 1 ignored broken links
            if not self._is_legacy:
                self._skip(entry.path, error)
            return None

    def _skip(self, path: str, error: OSError) -> None:
        name = printable(path.removeprefix(self._root)) or "."
        self.skipped.append(Skipped(name, error.strerror or short_reason(error)))


def _read(root: str, name: str) -> bytes:
    with open(root + name, "rb", buffering=0) as file:  # noqa: PTH123
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST_FILE:
            raise ValueError(f"it has {size} bytes, over {LARGEST_FILE}")
        return file.read()
