"""Reservation of a folder name for a run: no other command can take the same name."""

import itertools
import os
from pathlib import Path

# torchrun and SLURM start one command several times, and all these processes share a run
_LAUNCHERS = ("TORCHELASTIC_RUN_ID", "SLURM_PROCID")


def reserve(folder: Path) -> Path:
    """Make ``folder``, ``folder-2``, ``folder-3`` … and return the first that did not exist yet.

    The system makes a folder in one step, so two commands never get the same one.
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
