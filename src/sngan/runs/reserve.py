"""A name for a run's folder that no other command has."""

import itertools
import os
from pathlib import Path

# torchrun and SLURM start the same command several times, and all of it is one run
_LAUNCHERS = ("TORCHELASTIC_RUN_ID", "SLURM_PROCID")


def reserve(folder: Path) -> Path:
    """Make ``folder``, or ``folder-2``, ``folder-3`` …: the first that is not there yet.

    Making a folder is one step of the system, so that two commands never get the same one.
    """
    if any(name in os.environ for name in _LAUNCHERS):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        tried = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        try:
            tried.mkdir()
        except FileExistsError:
            continue
        return tried
    raise AssertionError
