"""Paths that a user typed on the command line."""

import logging
from pathlib import Path

from sngan.runs.lock import holder_of
from sngan.utils.files import expand_home

_log = logging.getLogger("sngan")


def expanded(text: str) -> Path:
    """Return the path with ``~`` expanded: the shell leaves it as it is after an equals sign."""
    return Path(expand_home(text))


def opened(text: str) -> Path:
    """Return a folder that the command only reads, and warn if a training writes there."""
    folder = expanded(text)
    holder = holder_of(folder)
    if holder is not None:
        _log.warning("%s is in use by %s: it is read as it is now", folder, holder)
    return folder
