"""The user's cache folder: where it is, its size, and its bound.

Everything in it can be made again: decoded images, features of real samples, weights that were
downloaded.
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
"""Bytes that the cache may hold; the files that were used longest ago are removed first."""

_log = logging.getLogger("sngan")
# decoded images, features and indices by the key of their content; weights by their name; and
# what a killed process was writing
_NAMES = re.compile(
    r"[0-9a-f]{32}(\.[a-z]+)*\.(npy|json)|metrics/[\w-]+\.safetensors|weights/[\w.-]+"
    r"|(metrics/|weights/)?\.[0-9a-f]+(\.[\w.-]+)?|metrics/\.[\w-]+\.[0-9a-f]{8}"
)


class Usage(NamedTuple):
    """What the cache holds."""

    folder: Path
    files: int
    bytes: int


def folder() -> Path:
    """``$XDG_CACHE_HOME/sngan``, ``~/.cache/sngan``, or a temporary one where there is no home."""
    given = os.environ.get("XDG_CACHE_HOME")
    # the specification has relative ones ignored
    if given and Path(given).is_absolute():
        return Path(given) / "sngan"
    try:
        return Path.home() / ".cache" / "sngan"
    except RuntimeError:
        return _temporary()


def usage() -> Usage:
    """Count the files of the cache and their bytes."""
    sizes = [status.st_size for _, status in _files(folder())]
    return Usage(folder(), len(sizes), sum(sizes))


def clear() -> Usage:
    """Remove every file that sngan put into the cache; return what that was."""
    removed = [(path, status.st_size) for path, status in _files(folder()) if _removed(path)]
    return Usage(folder(), len(removed), sum(size for _, size in removed))


def used(path: Path) -> None:
    """Note that a file was used, so that it stays."""
    with suppress(OSError):
        os.utime(path)


def trim(*, limit: int = LIMIT, keep: Path | None = None) -> None:
    """Remove the files that were used longest ago until the cache is within its bound.

    A file that a process has mapped stays readable there.
    """
    found = sorted(_files(folder()), key=lambda item: item[1].st_mtime)
    total = sum(status.st_size for _, status in found)
    for path, status in found:
        if total <= limit:
            return
        if keep is not None and path.stem == keep.stem:
            continue
        total -= status.st_size if _removed(path) else 0


def _files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in root.rglob("*"):
        with suppress(OSError):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and _NAMES.fullmatch(path.relative_to(root).as_posix()):
                yield path, status


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True


@lru_cache(maxsize=1)
def _temporary() -> Path:
    """A folder of this process alone: one with a known name could be somebody else's."""
    made = tempfile.TemporaryDirectory(prefix="sngan-cache-")
    _log.warning("this user has no home folder: the cache is %s, for this process", made.name)
    # it lives as long as the process
    _kept.append(made)
    return Path(made.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []
