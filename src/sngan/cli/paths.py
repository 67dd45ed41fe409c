"""Paths of the command line: the home folder, and folders that a training uses."""

import logging
import os
import shutil
import sys
from pathlib import Path

from sngan.runs.lock import holder_of
from sngan.utils.checks import require
from sngan.utils.files import expand_home
from sngan.utils.text import shell_word

_log = logging.getLogger("sngan")


def program() -> str:
    """Return the words by which the user can start this program again."""
    name, found = sys.argv[0], shutil.which("sngan")
    if Path(name).parts[-2:] == ("sngan", "__main__.py"):
        return f"{shell_word(sys.executable)} -m sngan"
    is_same = found is not None and Path(name).exists() and Path(found).samefile(name)
    return "sngan" if is_same or Path(name).name != "sngan" else shell_word(name)


def expanded(text: str) -> Path:
    """Return the path with ``~`` expanded, which the shell does not do after an equals sign."""
    return Path(expand_home(text))


def folder_to_read(text: str) -> Path:
    """Return a folder that the command only reads; warn if a training writes there."""
    folder = expanded(text)
    holder = holder_of(folder)
    if holder is not None:
        _log.warning("%s is in use by %s: the command reads its present state", folder, holder)
    return folder


def file_to_write(text: str, flag: str) -> Path:
    """Return the path of a file that can be made later, together with the folders above it.

    Raises
    ------
    ValueError
        If the path is a folder, lies below a file, or its first folder cannot be written.
    """
    path = expanded(text).absolute()
    require(not path.is_dir(), flag, expected="a file", got=f"{text}, which is a folder")
    above = next(folder for folder in path.parents if folder.exists())
    expected = f"a path below a folder ({above} is a file)"
    require(above.is_dir(), flag, expected=expected, got=text)
    is_writable = path.exists() or os.access(above, os.W_OK)
    require(is_writable, flag, expected=f"a folder that can be written, not {above}", got=text)
    return path
