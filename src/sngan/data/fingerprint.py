"""Fingerprints of data sets, by which a resumed run notices that its data has changed."""

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sngan.data.types import Content, Fingerprint

_FILES = 64
_BLOCKS, _BLOCK = 1024, 4096
_FEWEST_BLOCKS = 16
_PARTS = {
    "samples": "the number of samples",
    "files": "the number of files",
    "names": "names of files",
    "sizes": "sizes of files",
    "content": "the content of files",
    "labels": "labels or class names",
}


def changes(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Describe how two fingerprints differ; the list is empty if they are of the same data.

    A part that one of them lacks is not compared, so that older fingerprints can be read.

    Examples
    --------
    >>> changes({"files": 3, "names": "a"}, {"files": 4, "names": "b"})
    ['the number of files (3, now 4)', 'names of files']
    """
    found: list[str] = []
    for part, words in _PARTS.items():
        old, new = before.get(part), after.get(part)
        if old is not None and new is not None and old != new:
            found.append(f"{words} ({old}, now {new})" if isinstance(new, int) else words)
    return found


def of_content(content: Content) -> Fingerprint:
    """Hash all names and sizes, and some bytes of 64 files at equal distances.

    At most 4 MiB are read from any data set. Modification times and decoded pixels are left out, so
    a copy of the files on another machine has the same fingerprint.

    Examples
    --------
    >>> from sngan.data import changes, of_content
    >>> old = of_content(Content(["a.png"], [3], lambda index: b"abc"))
    >>> changes(old, of_content(Content(["b.png"], [3], lambda index: b"abc")))
    ['names of files']
    """
    count, read = len(content.names), content.some_bytes
    names = (unicodedata.normalize("NFC", name) for name in content.names)
    return {
        "files": count,
        "names": digest(name.encode("utf-8", "surrogateescape") for name in names),
        "sizes": digest(str(size).encode() for size in content.sizes),
        "content": digest(read(index) for index in evenly_spaced(count, _FILES)) if read else "",
    }


def of_files(files: Sequence[Path], root: Path) -> Content:
    """Return the content of these files, named by their paths below ``root``."""
    blocks = max(_BLOCKS // max(len(files), 1), _FEWEST_BLOCKS)

    def read(index: int) -> bytes:
        return some_bytes(os.fspath(files[index]), blocks)

    names = [file.name if file == root else os.path.relpath(file, root) for file in files]
    return Content(
        [name.replace(os.sep, "/") for name in names], [file.stat().st_size for file in files], read
    )


def some_bytes(path: str, blocks: int = _FEWEST_BLOCKS) -> bytes:
    """Read blocks of a file at equal distances, among them its first and its last bytes.

    A file that cannot be read gives no bytes here: the decoder decides whether it is skipped.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            size = os.fstat(file.fileno()).st_size
            if size <= blocks * _BLOCK:
                return file.read()
            starts = [(size - _BLOCK) * index // (blocks - 1) for index in range(blocks)]
            return b"".join(os.pread(file.fileno(), _BLOCK, start) for start in starts)
    except OSError:
        return b""


def evenly_spaced(total: int, most: int) -> list[int]:
    """Return the numbers 0 … total − 1, or ``most`` of them at equal distances."""
    picked = min(total, most)
    return [index * total // picked for index in range(picked)]


def digest(parts: Iterable[bytes]) -> str:
    """Hash these parts, each with its length, so that different lists give different hashes."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()[:32]
