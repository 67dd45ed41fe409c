"""Checkpoints: the whole state of a run, written atomically and read without running any code.

Sharded tensors lie in a folder ``step-….shards`` beside the file, which names it; each file has one
of its own. A checkpoint is read as whole tensors, by any number of processes.
"""

import os
import pickle
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sngan import _ranks as ranks
from sngan import _shards as shards
from sngan._checks import require
from sngan.shard_files import read_shards, write_shards

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

_FORMAT = "sngan checkpoint 1"
_SHARDS = "shards"
LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"

_Path = tuple[str | int, ...]


def write(state: dict[str, Any], path: Path) -> None:
    """Write ``state`` to ``path``: to a temporary file, flushed to the disk, then renamed.

    The first rank does; all call it where tensors are sharded, and their parts are written first.
    """
    sharded = dict(_sharded(state))
    if sharded:
        name = ranks.of_first(f"step-{state['step']:06d}-{secrets.token_hex(3)}.{_SHARDS}")
        write_shards({_key(at): tensor for at, tensor in sharded.items()}, path.with_name(name))
        state = _without(state, sharded)
        state = {**state, _SHARDS: {"folder": name, "tensors": list(sharded)}}
    if ranks.is_first():
        _write_file(state, path)
        _remove_unnamed(path.parent)


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
        if isinstance(state, dict) and _SHARDS in state:
            _put_back(state, path.parent, device=device)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, KeyError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"checkpoint: expected a whole sngan checkpoint, got {path} ({reason})"
        ) from error
    known = isinstance(state, dict) and state.get("format") == _FORMAT
    require(known, "checkpoint", expected=f"a file of format {_FORMAT!r}", got=f"{path}, another")
    return state


def rotate(state: dict[str, Any], folder: Path, *, keep_every: int = 0) -> Path:
    """Write ``last.pt`` and keep the one before as ``previous.pt``; all ranks call it, as `write`.

    ``state["step"]`` decides whether a copy ``step-000500.pt`` is kept for good as well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fresh, last = folder / "next.pt", folder / LAST
    write(state, fresh)
    if ranks.is_first():
        if last.exists():
            last.replace(folder / PREVIOUS)
        fresh.replace(last)
        _remove_unnamed(folder)
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


def _write_file(state: dict[str, Any], path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            torch.save({"format": _FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _sharded(state: dict[Any, Any], at: _Path = ()) -> "Iterator[tuple[_Path, DTensor]]":
    """The sharded tensors of nested dictionaries, each with the keys that lead to it."""
    for key, value in state.items():
        if isinstance(value, dict):
            yield from _sharded(value, (*at, key))
        elif isinstance(value, torch.Tensor) and shards.is_sharded(value):
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
    tensors = read_shards(folder / Path(taken_out["folder"]).name)
    for at in taken_out["tensors"]:
        owner = state
        for key in at[:-1]:
            owner = owner[key]
        owner[at[-1]] = tensors[_key(at)].to(device)


def _remove_unnamed(folder: Path) -> None:
    """Delete the shards of checkpoints that were replaced or never finished."""
    unnamed = set(folder.glob(f"step-*.{_SHARDS}"))
    if not unnamed:
        return
    for path in folder.glob("*.pt"):
        try:
            # a map of the file, of which little is read
            state = torch.load(path, weights_only=True, mmap=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, ValueError):
            # what it names is not known
            return
        if isinstance(state, dict) and _SHARDS in state:
            unnamed.discard(folder / state[_SHARDS]["folder"])
    for shards_folder in unnamed:
        shutil.rmtree(shards_folder)
