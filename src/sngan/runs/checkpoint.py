"""Checkpoints: the whole state of a run, written atomically and read without running any code.

Sharded tensors lie in a folder ``step-….shards`` beside the file, which names it and keeps the
checksum of its index. A checkpoint is read as whole tensors, by any number of processes.
"""

import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from sngan.distributed import collectives, dtensor
from sngan.distributed.sharded_files import read_shards, write_shards
from sngan.utils.checks import require
from sngan.utils.files import atomic_write, link_or_copy
from sngan.utils.fitting import MisfitError
from sngan.utils.tensor_files import read_archive, write_archive
from sngan.utils.text import first_line

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

_FORMAT = "sngan checkpoint 1"
_SHARDS, _SETTINGS = "shards", "settings"
_SHARDS_FOLDER = re.compile(rf"step-\d{{6,}}-[0-9a-f]{{6}}\.{_SHARDS}")
LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"
# earlier versions wrote here first
_NEXT = "next.pt"

_Path = tuple[str | int, ...]


class Found(NamedTuple):
    """A checkpoint that can be used: its state, the settings that it was made with, its file.

    ``problems`` has a line about each newer one that cannot be used. Checkpoints of earlier
    versions have no settings.
    """

    state: dict[str, Any]
    settings: dict[str, Any]
    path: Path
    problems: list[str]


def write(state: dict[str, Any], path: Path, *, settings: dict[str, Any] | None = None) -> None:
    """Write ``state`` to ``path``: to a temporary file, flushed to the disk, then renamed.

    ``settings`` are plain values that :func:`find_newest` returns. The first rank writes; all call
    this where tensors are sharded, and their parts are written first.
    """
    state = _with_shards_written(state, path.parent)
    if collectives.is_rank_zero():
        with atomic_write(path) as temporary:
            write_archive(_labelled(state, settings), temporary)
        _remove_unnamed(path.parent)


def rotate(
    state: dict[str, Any],
    folder: Path,
    *,
    keep_every: int = 0,
    settings: dict[str, Any] | None = None,
) -> Path:
    """Write ``last.pt`` and keep the one before as ``previous.pt``; all ranks call it, as `write`.

    ``state["step"]`` decides whether a copy ``step-000500.pt`` is kept for good as well. The new
    ``last.pt`` takes its place after everything else, in one rename: whenever the process is
    killed, a run that goes on from ``last.pt`` makes what is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    last, step = folder / LAST, state["step"]
    state = _with_shards_written(state, folder)
    if not collectives.is_rank_zero():
        return last
    with atomic_write(last) as temporary:
        write_archive(_labelled(state, settings), temporary)
        if keep_every and step > 0 and step % keep_every == 0:
            _copy(temporary, folder / f"step-{step:06d}.pt")
        if last.exists():
            link_or_copy(last, folder / PREVIOUS)
    _remove_unnamed(folder)
    return last


def read(path: Path, *, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint, whose checksums are compared; only tensors and plain values are unpickled.

    Raises
    ------
    ValueError
        No such file, a truncated or damaged one, or one that sngan did not write.
    """
    state = _read(path, device=device)
    state.pop(_SETTINGS, None)
    return state


def _read(path: Path, *, device: torch.device | str) -> dict[str, Any]:
    require(path.is_file(), "checkpoint", expected="a file", got=f"nothing at {path}")
    try:
        state = read_archive(path, device=device)
        if isinstance(state, dict) and _SHARDS in state:
            _put_back(state, path.parent, device=device)
    except Exception as error:
        # a damaged file can raise any error in its reader; each leads to the next older file
        raise ValueError(
            f"checkpoint: expected a whole sngan checkpoint, got {path} ({first_line(error)})"
        ) from error
    known = isinstance(state, dict) and state.get("format") == _FORMAT
    require(known, "checkpoint", expected=f"a file of format {_FORMAT!r}", got=f"{path}, another")
    step = state.get("step")
    is_step = type(step) is int and step >= 0
    require(is_step, "checkpoint", expected="a number of steps", got=f"{path}, without")
    return state


def read_newest(
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    check: Callable[[dict[str, Any]], Any] | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Return the newest readable checkpoint of a run, and a line about each one passed over.

    See :func:`find_newest`.
    """
    found = find_newest(folder, device=device, check=check)
    return found.state, found.problems


def find_newest(
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    check: Callable[[dict[str, Any]], Any] | None = None,
) -> Found:
    """Find the newest checkpoint of a run that is whole: the last, the one before, kept ones.

    Parameters
    ----------
    folder
        The run's folder of checkpoints.
    device
        The device that its tensors are read to.
    check
        Raises if a checkpoint cannot be used, for which the next one is tried.

    Raises
    ------
    MisfitError
        If ``check`` raises it for a checkpoint, and accepts no other one.
    ValueError
        The folder has no readable checkpoint.
    """
    problems: list[str] = []
    misfit: MisfitError | None = None
    for path in _newest_first(folder):
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
        return Found(state, settings if isinstance(settings, dict) else {}, path, problems)
    if misfit is not None:
        raise misfit
    found = "; ".join(problems) or f"none in {folder}"
    raise ValueError(f"resume: expected a readable checkpoint, got {found}")


def settle(used: Path) -> None:
    """Before a run goes on from a checkpoint: make it the last one, and remove unnamed shards.

    A damaged ``last.pt`` would become ``previous.pt`` else, in place of one that can be read.
    """
    folder = used.parent
    if used.name != LAST:
        _copy(used, folder / LAST)
    (folder / _NEXT).unlink(missing_ok=True)
    _remove_unnamed(folder)


def _labelled(state: dict[str, Any], settings: dict[str, Any] | None) -> dict[str, Any]:
    return {"format": _FORMAT, **state, **({_SETTINGS: settings} if settings else {})}


def _newest_first(folder: Path) -> list[Path]:
    kept = sorted(folder.glob("step-*.pt"), reverse=True)
    paths = [*(folder / name for name in (_NEXT, LAST, PREVIOUS)), *kept, folder / BEST]
    return [path for path in paths if path.exists()]


def _copy(source: Path, path: Path) -> None:
    with atomic_write(path) as temporary:
        shutil.copyfile(source, temporary)


def _with_shards_written(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    sharded = dict(_sharded(state))
    if not sharded:
        return state
    name = collectives.broadcast_object(
        f"step-{state['step']:06d}-{secrets.token_hex(3)}.{_SHARDS}"
    )
    index = write_shards({_key(at): tensor for at, tensor in sharded.items()}, folder / name)
    named = {"folder": name, "index": index, "tensors": list(sharded)}
    return {**_without(state, sharded), _SHARDS: named}


def _sharded(state: dict[Any, Any], at: _Path = ()) -> "Iterator[tuple[_Path, DTensor]]":
    """The sharded tensors of nested dictionaries, each with the keys that lead to it."""
    for key, value in state.items():
        if isinstance(value, dict):
            yield from _sharded(value, (*at, key))
        elif isinstance(value, torch.Tensor) and dtensor.is_sharded(value):
            yield (*at, key), value


def _key(at: _Path) -> str:
    return "/".join(map(str, at))


def _without(state: dict[Any, Any], sharded: "dict[_Path, DTensor]", at: _Path = ()) -> Any:
    return {
        key: _without(value, sharded, (*at, key)) if isinstance(value, dict) else value
        for key, value in state.items()
        if (*at, key) not in sharded
    }


def _put_back(state: dict[str, Any], folder: Path, *, device: torch.device | str) -> None:
    taken_out = state.pop(_SHARDS)
    name = taken_out["folder"]
    if not _SHARDS_FOLDER.fullmatch(name) or (folder / name).is_symlink():
        raise ValueError(f"{name!r} is no folder of shards")
    tensors = read_shards(folder / name, index=taken_out.get("index"))
    for at in taken_out["tensors"]:
        owner = state
        for key in at[:-1]:
            owner = owner[key]
        owner[at[-1]] = tensors[_key(at)].to(device)


def _remove_unnamed(folder: Path) -> None:
    """Delete the shards of checkpoints that were replaced or never finished."""
    unnamed = {
        path
        for path in folder.glob(f"step-*.{_SHARDS}")
        if _SHARDS_FOLDER.fullmatch(path.name) and not path.is_symlink()
    }
    if not unnamed:
        return
    for path in folder.glob("*.pt"):
        try:
            # a map of the file, of which little is read
            state = read_archive(path, mmap=True)
            if isinstance(state, dict) and _SHARDS in state:
                unnamed.discard(folder / state[_SHARDS]["folder"])
        except Exception:
            # it cannot be known what a damaged file names
            return
    for shards_folder in unnamed:
        shutil.rmtree(shards_folder)
