"""Files: atomic writes, hashes, folders that are empty or missing."""

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY = ".sngan-tmp"
"""The suffix of a file that is being written; a killed process may leave one behind."""

_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM)


@contextmanager
def atomic_write(path: Path) -> Generator[Path]:
    """Yield the path of a new empty file, and rename it to ``path`` if no error is raised.

    The file and its folder are flushed to the disk, so that after a crash ``path`` is either the
    old file or the whole new one. The new file has the mode that the umask gives. A symbolic link
    at ``path`` is replaced and not followed.

    Raises
    ------
    OSError
        If a write fails. The error names ``path``, and the temporary file is gone.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}{TEMPORARY}")
    try:
        mode = _create(temporary)
        yield temporary
        # the block may have replaced the file by another one with another mode
        temporary.chmod(mode)
        _flush(temporary)
        temporary.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        if error.filename is None or str(error.filename) == str(temporary):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise
    finally:
        # after a success there is nothing to remove; an error here would hide the first error
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def named_in_errors(path: Path) -> Generator[Path]:
    """Add the name of this file to an ``OSError`` that names no file."""
    try:
        yield path
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a small file with :func:`atomic_write`."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def link_or_copy(source: Path, path: Path) -> None:
    """Give a file a second name in one step; copy it where the system has no hard links.

    A second name needs no space on a full disk.
    """
    with atomic_write(path) as temporary:
        try:
            temporary.unlink()
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def flush_folder(folder: Path) -> None:
    """Flush the entries of a folder to the disk, if the system can do that."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        # the user may write to this folder but not read it
        if error.errno not in _NO_FOLDER_SYNC:
            raise
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_if_empty(folder: Path) -> None:
    """Remove a folder if it exists and is empty."""
    with suppress(OSError):
        folder.rmdir()


def missing_folders(folder: Path) -> list[Path]:
    """Return the missing folders among a folder and its parents, the deepest first."""
    return [path for path in (folder, *folder.parents) if not os.path.lexists(path)]


def expand_home(path: str) -> str:
    """Replace a leading ``~`` by the home folder, also after ``shards:``."""
    prefix, colon, rest = path.rpartition("shards:")
    return f"{prefix}{colon}{os.path.expanduser(rest)}"  # noqa: PTH111


def is_temporary(path: Path) -> bool:
    """Whether :func:`atomic_write` made this file."""
    token = path.name.removeprefix(".").removesuffix(TEMPORARY)
    is_token = len(token) == 16 and all(digit in "0123456789abcdef" for digit in token)
    return is_token and path.name == f".{token}{TEMPORARY}"


def remove_temporaries(folder: Path) -> None:
    """Delete the temporary files that a killed process left in a folder."""
    if folder.is_dir() and not folder.is_symlink():
        for path in folder.iterdir():
            if is_temporary(path) and path.is_file():
                path.unlink(missing_ok=True)


def _create(path: Path) -> int:
    """Create an empty file and return its mode, which follows the umask."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        return os.fstat(handle).st_mode & 0o777
    finally:
        os.close(handle)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
