"""Paths of the command line: the home folder, and folders that a training uses."""

import logging
from pathlib import Path

from sngan.runs.lock import holder_of
from sngan.utils.files import expand_home

_log = logging.getLogger("sngan")


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
