"""Cache folder of the user: where it is, its size, and its limit.

Everything in it can be made again: decoded images, features of real samples, downloaded weights.
"""

import logging
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

LIMIT = 32 * 2**30
"""The bytes that the cache may hold; the files that were used longest ago are removed first."""

_log = logging.getLogger("sngan")
# the names of the files that sngan puts there: decoded images, features and indices, named by the
# hash of their content; weights, named by their file; and files that a killed process was writing
_NAMES = re.compile(
    r"[0-9a-f]{32}(\.[a-z]+)*\.(npy|json)|metrics/[\w-]+\.safetensors|weights/[\w.-]+"
    r"|(metrics/|weights/)?\.[0-9a-f]+(\.[\w.-]+)?|metrics/\.[\w-]+\.[0-9a-f]{8}"
)


class Usage(NamedTuple):
    """The size of the cache."""

    folder: Path
    files: int
    bytes: int


def folder() -> Path:
    """Return ``$XDG_CACHE_HOME/sngan`` or ``~/.cache/sngan``; without home a temporary folder."""
    given = os.environ.get("XDG_CACHE_HOME")
    # the XDG specification says that relative paths are ignored
    if given and Path(given).is_absolute():
        return Path(given) / "sngan"
    try:
        return Path.home() / ".cache" / "sngan"
    except RuntimeError:
        return _temporary_folder()


def usage() -> Usage:
    """Count the files of the cache and their bytes."""
    sizes = [status.st_size for _, status in _files(folder())]
    return Usage(folder(), len(sizes), sum(sizes))


def clear() -> Usage:
    """Remove every file that sngan put into the cache; return how many files and bytes."""
    removed = [(path, status.st_size) for path, status in _files(folder()) if _remove(path)]
    return Usage(folder(), len(removed), sum(size for _, size in removed))


def mark_used(path: Path) -> None:
    """Mark a file as used just now, so that it is removed later than others."""
    with suppress(OSError):
        os.utime(path)


def trim(*, limit: int = LIMIT, keep: Path | None = None) -> None:
    """Remove the files that were used longest ago until the cache is below its limit.

    A process that has mapped a removed file can still read it.
    """
    found = sorted(_files(folder()), key=lambda item: item[1].st_mtime)
    total = sum(status.st_size for _, status in found)
    for path, status in found:
        if total <= limit:
            return
        if keep is not None and path.stem == keep.stem:
            continue
        total -= status.st_size if _remove(path) else 0


def _files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in root.rglob("*"):
        with suppress(OSError):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and _NAMES.fullmatch(path.relative_to(root).as_posix()):
                yield path, status


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True


@lru_cache(maxsize=1)
def _temporary_folder() -> Path:
    """Make a folder for this process alone: another user could own one with a fixed name."""
    made = tempfile.TemporaryDirectory(prefix="sngan-cache-")
    _log.warning("this user has no home folder: this process keeps its cache in %s", made.name)
    # the folder is removed with this object, so the object has to live as long as the process
    _kept.append(made)
    return Path(made.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []
