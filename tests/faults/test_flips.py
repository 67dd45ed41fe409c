"""One flipped bit, anywhere in a checkpoint, is found, and the next older one is read."""

import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from helpers import checkpoints
from helpers.tally import Tally
from helpers.tiny_run import same
from sngan.distributed.sharded_files import read_sharded, write_sharded
from sngan.runs import checkpoint
from sngan.utils.tensor_files import DamagedFileError, read_tensors, write_tensors

FEW, ALL = 25, 600
counts = pytest.mark.parametrize("count", [FEW, pytest.param(ALL, marks=pytest.mark.faults)])


def places(size: int, count: int) -> list[int]:
    """Bits all over a file of this many bytes, the first and the last among them."""
    chance = random.Random(size)
    return [0, 8 * size - 1, *(chance.randrange(8 * size) for _ in range(count - 2))]


def flipped(folder: Path, names: Iterable[str], count: int, counted: Tally) -> Iterator[bool]:
    """Flip bits of the files of a newest checkpoint; yield whether each one was noticed."""
    states = [{"format": "sngan checkpoint 1", **checkpoints.state_of(step)} for step in (1, 2)]
    for name in names:
        for bit in places((folder / name).stat().st_size, count):
            copy = checkpoints.copied(folder, folder.with_name("flipped"))
            checkpoints.flip(copy / name, bit)
            state, problems = checkpoint.read_newest(copy)
            counted.tried += 1
            found = counted.lost if problems else counted.silent
            found += [f"{name}: bit {bit}"] * (not same(state, states[not problems]))
            for problem in problems:
                assert problem.startswith("checkpoint: expected a whole sngan checkpoint, got ")
            yield len(problems) == 1


@counts
def test_of_a_checkpoint(tmp_path, count, tally):
    checkpoints.write_whole(tmp_path / "whole")
    counted = tally("flips in a checkpoint")
    assert all([*flipped(tmp_path / "whole", ["last.pt"], count, counted)])
    assert counted.wrong == []


@counts
def test_of_a_checkpoint_without_a_checksum(tmp_path, count, tally):
    """Earlier versions wrote it: the content is whole, though some bits of the file are unused."""
    checkpoints.write_whole(tmp_path / "whole", old=True)
    counted = tally("flips in a checkpoint of before")
    assert any([*flipped(tmp_path / "whole", ["last.pt"], count, counted)])
    assert counted.wrong == []


@counts
def test_of_old_shards(tmp_path, count, tally):
    checkpoints.write_old_shards(tmp_path / "whole")
    counted = tally("flips in shards of before")
    names = [f"step-000002-000002.shards/{name}" for name in (".metadata", "__0_0.distcp")]
    assert any([*flipped(tmp_path / "whole", names, count // 2, counted)])
    assert counted.wrong == []


class Sharded(torch.Tensor):
    """As a sharded tensor of the one process there is."""

    placements = ()
    to_local = torch.Tensor.detach


def flip_and_read(path: Path, count: int, read: Callable[[], object], counted: Tally) -> None:
    """Flip bits of a file; count those after which it is still read."""
    whole = path.read_bytes()
    for bit in places(len(whole), count):
        path.write_bytes(whole)
        checkpoints.flip(path, bit)
        counted.tried += 1
        try:
            read()
        except DamagedFileError:
            continue
        counted.silent.append(f"{path.name}: bit {bit}")
    path.write_bytes(whole)


@counts
def test_of_shards(tmp_path, count, tally):
    tensors = {
        name: tensor.contiguous().as_subclass(Sharded)
        for name, tensor in checkpoints.state_of(2)["critic"].items()
    }
    folder = tmp_path / "shards"
    index = write_sharded(tensors, folder)
    read = partial(read_sharded, folder, index=index)
    whole = {name: tensor.as_subclass(torch.Tensor) for name, tensor in tensors.items()}
    assert same(read(), whole)
    counted = tally("flips in shards")
    for name in ("index.json", "part-00000.bin"):
        flip_and_read(folder / name, count // 2, read, counted)
    assert counted.wrong == []
    assert same(read(), whole)


@counts
def test_of_a_generator(tmp_path, count, tally):
    path = tmp_path / "generator.safetensors"
    tensors = {
        name: tensor.contiguous() for name, tensor in checkpoints.state_of(2)["critic"].items()
    }
    write_tensors(tensors, path)
    assert same(read_tensors(path), tensors)
    counted = tally("flips in a generator")
    flip_and_read(path, count, partial(read_tensors, path), counted)
    assert counted.wrong == []


@pytest.mark.parametrize("old", [False, True])
def test_truncated_at_any_length(tmp_path, old):
    checkpoints.write_whole(tmp_path / "whole", old=old)
    size = (tmp_path / "whole" / "last.pt").stat().st_size
    for length in (*range(0, size, size // 40), *range(size - 100, size)):
        folder = checkpoints.copied(tmp_path / "whole", tmp_path / "cut")
        data = (folder / "last.pt").read_bytes()
        (folder / "last.pt").write_bytes(data[:length])
        state, problems = checkpoint.read_newest(folder)
        assert (state["step"], len(problems)) == (1, 1), length


def test_the_damaged_tensor_is_named(tmp_path):
    checkpoints.write_whole(tmp_path)
    path = tmp_path / "last.pt"
    weights = checkpoints.state_of(2)["critic"]["weight"].numpy().tobytes()
    checkpoints.flip(path, 8 * path.read_bytes().index(weights) + 3)
    with pytest.raises(
        ValueError, match=r"\(the checksum of last/data/\d+ is wrong\)|archive/data"
    ):
        checkpoint.read(path)
