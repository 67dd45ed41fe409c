"""Folders of checkpoints: whole, sharded, and as earlier versions of sngan wrote them."""

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from sngan.runs import checkpoint


def state_of(step: int) -> dict:
    """A state with tensors of many types and shapes, and plain values of all kinds."""
    generator = torch.Generator().manual_seed(step)
    weights = torch.randn(6, 5, 3, 3, generator=generator)
    return {
        "step": step,
        "critic": {
            "weight": weights,
            "channels last": weights.to(memory_format=torch.channels_last),
            "half": weights[0].to(torch.bfloat16),
            "a part": weights[:, 1],
            "none": torch.zeros(0, 3),
            "scalar": torch.tensor(step, dtype=torch.int64),
            "bools": weights[0, 0] > 0,
        },
        "moments": {"state": {0: {"exp_avg": weights.double()}}, "param_groups": [{"lr": 1e-4}]},
        "names": ["a", None, 1.5, float("inf"), True, (1, 2)],
    }


def write_whole(folder: Path, *, old: bool = False) -> None:
    """``previous.pt`` of step 1 and ``last.pt`` of step 2."""
    folder.mkdir(parents=True, exist_ok=True)
    for step, name in ((1, "previous.pt"), (2, "last.pt")):
        if old:
            torch.save({"format": "sngan checkpoint 1", **state_of(step)}, folder / name)
        else:
            checkpoint.write(state_of(step), folder / name)


def write_old_shards(folder: Path) -> None:
    """The same with the critic in shards, by ``torch.distributed.checkpoint``."""
    from torch.distributed.checkpoint.filesystem import FileSystemWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    write_whole(folder, old=True)
    for step, name in ((1, "previous.pt"), (2, "last.pt")):
        state = state_of(step)
        shards = f"step-{step:06d}-00000{step}.shards"
        named = {f"critic/{key}": value.contiguous() for key, value in state["critic"].items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            save(named, storage_writer=FileSystemWriter(folder / shards), no_dist=True)
        state["critic"] = {}
        keys = [("critic", key.removeprefix("critic/")) for key in named]
        state["shards"] = {"folder": shards, "tensors": keys}
        torch.save({"format": "sngan checkpoint 1", **state}, folder / name)


def write_old_of_ranks(state: dict, path: Path) -> None:
    """A state with sharded tensors as earlier versions wrote it, by all ranks together."""
    import torch.distributed as dist
    from torch.distributed.checkpoint.filesystem import FileSystemWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    sharded = dict(_sharded(state))
    shards = f"step-{state['step']:06d}-abcdef.shards"
    tensors = {"/".join(map(str, at)): tensor for at, tensor in sharded.items()}
    save(tensors, storage_writer=FileSystemWriter(path.with_name(shards)))
    rest = _without(state, sharded)
    rest["shards"] = {"folder": shards, "tensors": list(sharded)}
    if dist.get_rank() == 0:
        torch.save({"format": "sngan checkpoint 1", **rest}, path)


def _sharded(state: dict, at: tuple = ()) -> Iterator[tuple[tuple, torch.Tensor]]:
    for key, value in state.items():
        if isinstance(value, dict):
            yield from _sharded(value, (*at, key))
        elif isinstance(value, torch.Tensor) and hasattr(value, "placements"):
            yield (*at, key), value


def _without(state: dict, sharded: dict, at: tuple = ()) -> dict:
    return {
        key: _without(value, sharded, (*at, key)) if isinstance(value, dict) else value
        for key, value in state.items()
        if (*at, key) not in sharded
    }


def flip(path: Path, bit: int) -> None:
    """Flip one bit of a file, which gets a new inode, as a copy of the damage would."""
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    fresh = path.with_name(f"{path.name}.flipped")
    fresh.write_bytes(data)
    fresh.replace(path)


def copied(folder: Path, to: Path) -> Path:
    """A copy in place of one that was there."""
    shutil.rmtree(to, ignore_errors=True)
    return Path(shutil.copytree(folder, to))
