"""Checkpoints: the whole state of a run, written atomically and read without running any code."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from sngan._checks import require

_FORMAT = "sngan checkpoint 1"
LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"


def write(state: dict[str, Any], path: Path) -> None:
    """Write ``state`` to ``path``: to a temporary file, flushed to the disk, then renamed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            torch.save({"format": _FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path, *, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values are ever unpickled.

    Raises
    ------
    ValueError
        No such file, a truncated or damaged one, or one that sngan did not write.
    """
    require(path.is_file(), "checkpoint", expected="a file", got=f"nothing at {path}")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, KeyError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"checkpoint: expected a whole sngan checkpoint, got {path} ({reason})"
        ) from error
    known = isinstance(state, dict) and state.get("format") == _FORMAT
    require(known, "checkpoint", expected=f"a file of format {_FORMAT!r}", got=f"{path}, another")
    return state


def rotate(state: dict[str, Any], folder: Path, *, keep_every: int = 0) -> Path:
    """Write ``last.pt`` and keep the one before as ``previous.pt``.

    ``state["step"]`` decides whether a copy ``step-000500.pt`` is kept for good as well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fresh, last = folder / "next.pt", folder / LAST
    write(state, fresh)
    if last.exists():
        last.replace(folder / PREVIOUS)
    fresh.replace(last)
    if keep_every and state["step"] > 0 and state["step"] % keep_every == 0:
        write(state, folder / f"step-{state['step']:06d}.pt")
    return last


def read_newest(
    folder: Path, *, device: torch.device | str = "cpu"
) -> tuple[dict[str, Any], list[str]]:
    """Return the newest readable checkpoint of a run, and a line about each one passed over.

    Raises
    ------
    ValueError
        The folder has no readable checkpoint.
    """
    problems: list[str] = []
    for path in (folder / "next.pt", folder / LAST, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            return read(path, device=device), problems
        except ValueError as error:
            problems.append(str(error))
    found = "; ".join(problems) or f"none in {folder}"
    raise ValueError(f"resume: expected a readable checkpoint, got {found}")
