"""Chosen checkpoint: the last one, the best one, or that of a step, read from a run folder."""

import re
from pathlib import Path
from typing import Any, cast

from sngan.runs import checkpoint
from sngan.runs.layout import RunFolder, checkpoint_name
from sngan.utils.checks import is_integer, require
from sngan.utils.tensor_files import read_archive

LAST, BEST = "last", "best"
_KEPT = re.compile(r"step-(\d{6,})\.pt")


def require_choice(choice: str | int) -> str | int:
    """Return ``"last"``, ``"best"`` or a step; text such as ``"500"`` is a step too.

    Raises
    ------
    ValueError
        If it is none of them.
    """
    if isinstance(choice, str) and choice.isdecimal() and len(choice) < 19:
        choice = int(choice)
    is_step = is_integer(choice) and choice >= 0
    expected = "last, best or the number of a step"
    require(is_step or choice in (LAST, BEST), "checkpoint", expected=expected, got=repr(choice))
    return choice


def read_chosen(folder: Path, choice: str | int) -> dict[str, Any]:
    """Read the best checkpoint of a run, or the checkpoint of a step.

    Parameters
    ----------
    folder
        The run folder.
    choice
        ``"best"`` or a step, as :func:`require_choice` returns it.

    Raises
    ------
    ValueError
        If the run has no such checkpoint, or it is damaged.
    """
    run = RunFolder(folder)
    path = run.best_checkpoint if choice == BEST else _of_step(run, int(choice))
    if path is None or not path.is_file():
        raise ValueError(f"checkpoint: expected {_available(run)}, got {choice}, which is not kept")
    return checkpoint.read(path)


def _of_step(run: RunFolder, step: int) -> Path | None:
    kept = run.checkpoints / checkpoint_name(step)
    if kept.is_file():
        return kept
    return next((path for path, found in _rotated(run).items() if found == step), None)


def _available(run: RunFolder) -> str:
    """Say which checkpoints a run has, and how to keep more."""
    kept = {int(at[1]) for path in run.checkpoints.glob("step-*.pt")
            if (at := _KEPT.fullmatch(path.name))}  # fmt: skip
    steps = sorted(kept | set(_rotated(run).values()))
    words = [LAST, *([BEST] if run.best_checkpoint.is_file() else []), *map(str, steps)]
    hints = "keep_every keeps steps"
    if BEST not in words:
        hints += ", evaluation.every keeps the best"
    return f"one of {', '.join(words)} ({hints})"


def _rotated(run: RunFolder) -> dict[Path, int]:
    """Return the steps of the checkpoints whose names do not say them."""
    paths = [run.checkpoints / name for name in (run.LAST, run.PREVIOUS, run.BEST)]
    steps = {path: glance(path).get("step") for path in paths}
    return {path: step for path, step in steps.items() if is_integer(step)}


def glance(path: Path) -> dict[str, Any]:
    """Read a checkpoint, and its tensors only when they are used; ``{}`` if it cannot be read."""
    try:
        # with a memory map only the values that are used are read from the disk
        state = read_archive(path, mmap=True)
    except (ValueError, OSError):
        return {}
    return cast(dict[str, Any], state) if isinstance(state, dict) else {}


def glance_at_newest(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return the checkpoint from which a run would go on, without its check, and its state.

    Parameters
    ----------
    folder
        The folder of checkpoints. If none can be read, the result is the folder and ``{}``.
    """
    seen = ((path, glance(path)) for path in checkpoint.newest_first(folder))
    return next((one for one in seen if one[1]), (folder, {}))
