"""Shards of a checkpoint: the folder beside it that holds its sharded tensors."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sngan.distributed import collectives, dtensor
from sngan.distributed.sharded_files import INDEX, PART, read_sharded, write_sharded
from sngan.runs.layout import SHARDED_FOLDER, RunFolder
from sngan.runs.manifest import Manifest
from sngan.utils.files import remove_if_empty, remove_temporaries
from sngan.utils.tensor_files import read_archive

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

SHARDED = "shards"
"""The key of a checkpoint under which the name of the folder is, and the ending of the name."""
# the files of such a folder that earlier versions wrote
_EARLIER = re.compile(r"\.metadata|__\d+_\d+\.distcp")

_Path = tuple[str | int, ...]


def move_out_sharded(state: dict[str, Any], folder: Path, files: Manifest | None) -> dict[str, Any]:
    """Write the sharded tensors of a state to a folder of their own; return the state without them.

    Parameters
    ----------
    state
        The state. All ranks call this function.
    folder
        The folder of checkpoints.
    files
        The list of the run's files, which gets the name of the folder first.
    """
    sharded = dict(_sharded(state))
    if not sharded:
        return state
    name = collectives.broadcast_object(
        f"step-{state['step']:06d}-{secrets.token_hex(3)}.{SHARDED}"
    )
    if files is not None and collectives.is_rank_zero():
        # a killed process leaves a folder that the next one may delete
        files.add([f"{RunFolder.CHECKPOINTS}/{name}"])
    index = write_sharded({_key(at): tensor for at, tensor in sharded.items()}, folder / name)
    named = {"folder": name, "index": index, "tensors": list(sharded)}
    return {**_without(state, sharded), SHARDED: named}


def _sharded(state: dict[Any, Any], at: _Path = ()) -> "Iterator[tuple[_Path, DTensor]]":
    """Yield the sharded tensors in nested dictionaries, each with the keys that lead to it."""
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


def restore_sharded(state: dict[str, Any], folder: Path, *, device: torch.device | str) -> None:
    """Put the tensors of a folder of shards back into the state of a checkpoint beside it.

    Raises
    ------
    Exception
        If the folder is missing or damaged.
    """
    taken_out = state.pop(SHARDED)
    name = taken_out["folder"]
    if not SHARDED_FOLDER.fullmatch(name) or (folder / name).is_symlink():
        raise ValueError(f"{name!r} is no folder of shards")
    tensors = read_sharded(folder / name, index=taken_out.get("index"))
    for at in taken_out["tensors"]:
        owner = state
        for key in at[:-1]:
            owner = owner[key]
        owner[at[-1]] = tensors[_key(at)].to(device)


def remove_unused_folders(folder: Path, files: Manifest | None) -> None:
    """Delete folders of sharded tensors whose checkpoint was replaced or never finished."""
    own = None if files is None else {_folder_in(name) for name in files.names()}
    unused = {
        path
        for path in folder.glob(f"step-*.{SHARDED}")
        if SHARDED_FOLDER.fullmatch(path.name) and not path.is_symlink()
        if own is None or path.name in own
    }
    if not unused:
        return
    for path in folder.glob("*.pt"):
        try:
            # with a memory map only the names are read from the disk
            state = read_archive(path, mmap=True)
            if isinstance(state, dict) and SHARDED in state:
                unused.discard(folder / state[SHARDED]["folder"])
        except Exception:
            # a damaged file may name any of the folders, so keep them all
            return
    for shards_folder in unused:
        _delete_shards(shards_folder)


def _folder_in(name: str) -> str:
    """Return the folder below ``checkpoints`` that a listed name is in, or is itself."""
    return name.removeprefix(f"{RunFolder.CHECKPOINTS}/").partition("/")[0]


def _delete_shards(folder: Path) -> None:
    """Delete the files of a folder of shards; with a file of a person in it, the folder stays."""
    remove_temporaries(folder)
    for path in folder.iterdir():
        name = path.name
        is_own = name == INDEX or any(known.fullmatch(name) for known in (PART, _EARLIER))
        if is_own and not path.is_dir():
            path.unlink()
    remove_if_empty(folder)
