"""Checkpoints: the whole state of a run, written atomically and read without running any code.

Sharded tensors are in a folder ``step-….shards`` next to the file; the file has the name of the
folder and the checksum of its index. Any number of processes can read the whole tensors.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from sngan.distributed import collectives
from sngan.runs.layout import RunFolder, checkpoint_name, is_kept
from sngan.runs.manifest import Manifest
from sngan.runs.shards import SHARDED, move_out_sharded, remove_unused_folders, restore_sharded
from sngan.utils.checks import require
from sngan.utils.files import atomic_write, link_or_copy
from sngan.utils.fitting import MisfitError
from sngan.utils.tensor_files import read_archive, write_archive
from sngan.utils.text import first_line

_FORMAT = "sngan checkpoint 1"
_SETTINGS = "settings"


class FoundCheckpoint(NamedTuple):
    """A checkpoint that can be used: its state, the settings that made it, and its path.

    ``problems`` has one line for each newer checkpoint that cannot be used. ``settings`` is empty
    for checkpoints of earlier versions.
    """

    state: dict[str, Any]
    settings: dict[str, Any]
    path: Path
    problems: list[str]


def write(
    state: dict[str, Any],
    path: Path,
    *,
    settings: dict[str, Any] | None = None,
    files: Manifest | None = None,
) -> None:
    """Write a checkpoint to a temporary file, flush it to the disk, then rename it.

    Rank 0 writes the file. All ranks call this function, because each writes its own parts of
    sharded tensors first.

    Parameters
    ----------
    state
        The state: nested dictionaries of tensors and plain values, with a ``step``.
    path
        The file.
    settings
        Plain values that :func:`find_newest` returns again.
    files
        The list of the run's files; only folders of sharded tensors that it names are deleted.
        Left out: the folder holds nothing of a person.
    """
    state = move_out_sharded(state, path.parent, files)
    if collectives.is_rank_zero():
        with atomic_write(path) as temporary:
            write_archive(_labelled(state, settings), temporary)
        remove_unused_folders(path.parent, files)


def rotate(
    state: dict[str, Any],
    folder: Path,
    *,
    keep_every: int | None = None,
    settings: dict[str, Any] | None = None,
    files: Manifest | None = None,
) -> Path:
    """Write ``last.pt``, and keep the old one as ``previous.pt``. All ranks call this.

    The new ``last.pt`` gets its name after everything else. If the process is killed before that, a
    run that goes on from the old ``last.pt`` makes the missing files again.

    Parameters
    ----------
    state
        The state, as for :func:`write`.
    folder
        The folder of checkpoints.
    keep_every
        Keep a copy ``step-000500.pt`` at every step that is a multiple of this number.
    settings
        Plain values that :func:`find_newest` returns again.
    files
        As for :func:`write`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    last, step = folder / RunFolder.LAST, state["step"]
    state = move_out_sharded(state, folder, files)
    if not collectives.is_rank_zero():
        return last
    with atomic_write(last) as temporary:
        write_archive(_labelled(state, settings), temporary)
        if is_kept(step, keep_every):
            _copy(temporary, folder / checkpoint_name(step))
        if last.exists():
            link_or_copy(last, folder / RunFolder.PREVIOUS)
    remove_unused_folders(folder, files)
    return last


def read(path: Path, *, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint and compare its checksums. Only tensors and plain values are unpickled.

    Raises
    ------
    ValueError
        If the file is missing, truncated or damaged, or sngan did not write it.
    """
    state = _read(path, device=device)
    state.pop(_SETTINGS, None)
    return state


def _read(path: Path, *, device: torch.device | str) -> dict[str, Any]:
    require(path.is_file(), "checkpoint", expected="a file", got=f"nothing at {path}")
    try:
        state = read_archive(path, device=device)
        if isinstance(state, dict) and SHARDED in state:
            restore_sharded(state, path.parent, device=device)
    except Exception as error:
        # readers may raise anything for a damaged file; the caller then tries an older file
        raise ValueError(
            f"checkpoint: expected a whole sngan checkpoint, got {path} ({first_line(error)})"
        ) from error
    known = isinstance(state, dict) and state.get("format") == _FORMAT
    require(known, "checkpoint", expected=f"the format {_FORMAT!r}", got=f"{path} of another")
    step = state.get("step")
    is_step = type(step) is int and step >= 0
    require(is_step, "checkpoint", expected="a number of steps", got=f"{path}, without one")
    return state


def read_newest(
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    check: Callable[[dict[str, Any]], Any] | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Return the state that :func:`find_newest` finds, and a line for each unreadable one."""
    found = find_newest(folder, device=device, check=check)
    return found.state, found.problems


def find_newest(
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    check: Callable[[dict[str, Any]], Any] | None = None,
) -> FoundCheckpoint:
    """Find the newest whole checkpoint: the last one, the one before, then those kept for good.

    Parameters
    ----------
    folder
        The run's folder of checkpoints.
    device
        The device that receives the tensors.
    check
        A function that raises if a state cannot be used. An older checkpoint is tried then.

    Raises
    ------
    MisfitError
        If ``check`` raises it for a checkpoint, and accepts no other one.
    ValueError
        If the folder has no readable checkpoint.
    """
    problems: list[str] = []
    misfit: MisfitError | None = None
    for path in newest_first(folder):
        try:
            state = _read(path, device=device)
            settings = state.pop(_SETTINGS, None)
        except ValueError as error:
            problems.append(str(error))
            continue
        try:
            if check is not None:
                check(state)
        except Exception as error:
            if isinstance(error, MisfitError) and misfit is None:
                misfit = MisfitError(f"{path}: {error}")
            problems.append(
                f"checkpoint: expected one of this run, got {path} ({first_line(error)})"
            )
            continue
        return FoundCheckpoint(
            state, settings if isinstance(settings, dict) else {}, path, problems
        )
    if misfit is not None:
        raise misfit
    found = "; ".join(problems) or f"none in {folder}"
    raise ValueError(f"resume: expected a readable checkpoint, got {found}")


def make_last(used: Path, files: Manifest) -> None:
    """Copy the checkpoint from which a run goes on to ``last.pt``; remove unused folders.

    Otherwise a damaged ``last.pt`` would replace a readable ``previous.pt`` at the next save. The
    list ``files`` of the run's files names the folders that may be removed.
    """
    folder = used.parent
    if used.name != RunFolder.LAST:
        _copy(used, folder / RunFolder.LAST)
    (folder / RunFolder.NEXT).unlink(missing_ok=True)
    remove_unused_folders(folder, files)


def _labelled(state: dict[str, Any], settings: dict[str, Any] | None) -> dict[str, Any]:
    return {"format": _FORMAT, **state, **({_SETTINGS: settings} if settings else {})}


def newest_first(folder: Path) -> list[Path]:
    """Return the checkpoints in the order in which a run that goes on tries them."""
    kept = sorted(folder.glob("step-*.pt"), reverse=True)
    paths = [
        *(folder / name for name in (RunFolder.NEXT, RunFolder.LAST, RunFolder.PREVIOUS)),
        *kept,
        folder / RunFolder.BEST,
    ]
    return [path for path in paths if path.exists()]


def _copy(source: Path, path: Path) -> None:
    with atomic_write(path) as temporary:
        shutil.copyfile(source, temporary)
