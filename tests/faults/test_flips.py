"""One flipped bit, anywhere in a checkpoint, is found, and the next older one is read."""

import random

import pytest
import torch

from helpers import checkpoints
from helpers.tiny_run import same
from sngan.distributed.sharded_files import read_shards, write_shards
from sngan.runs import checkpoint
from sngan.utils.tensor_files import DamagedFileError, read_tensors, write_tensors

FEW, ALL = 25, 600
counts = pytest.mark.parametrize("count", [FEW, pytest.param(ALL, marks=pytest.mark.faults)])


def places(size: int, count: int) -> list[int]:
    """Bits all over a file of this many bytes, the first and the last among them."""
    chance = random.Random(size)
    return [0, 8 * size - 1, *(chance.randrange(8 * size) for _ in range(count - 2))]


@counts
def test_of_a_checkpoint(tmp_path, count):
    checkpoints.write_whole(tmp_path / "whole")
    expected = {"format": "sngan checkpoint 1", **checkpoints.state_of(1)}
    for bit in places((tmp_path / "whole" / "last.pt").stat().st_size, count):
        folder = checkpoints.copied(tmp_path / "whole", tmp_path / "flipped")
        checkpoints.flip(folder / "last.pt", bit)
        state, problems = checkpoint.read_newest(folder)
        assert same(state, expected), bit
        (problem,) = problems
        assert problem.startswith("checkpoint: expected a whole sngan checkpoint, got "), bit


@counts
def test_of_a_checkpoint_without_a_checksum(tmp_path, count):
    """Earlier versions wrote it: what is read is whole, if not every bit of the file counts."""
    checkpoints.write_whole(tmp_path / "whole", old=True)
    states = [{"format": "sngan checkpoint 1", **checkpoints.state_of(step)} for step in (1, 2)]
    for bit in places((tmp_path / "whole" / "last.pt").stat().st_size, count):
        folder = checkpoints.copied(tmp_path / "whole", tmp_path / "flipped")
        checkpoints.flip(folder / "last.pt", bit)
        state, problems = checkpoint.read_newest(folder)
        assert same(state, states[len(problems) == 0]), bit


@counts
def test_of_old_shards(tmp_path, count):
    checkpoints.write_old_shards(tmp_path / "whole")
    states = [{"format": "sngan checkpoint 1", **checkpoints.state_of(step)} for step in (1, 2)]
    for name in (".metadata", "__0_0.distcp"):
        part = f"step-000002-000002.shards/{name}"
        for bit in places((tmp_path / "whole" / part).stat().st_size, count // 2):
            folder = checkpoints.copied(tmp_path / "whole", tmp_path / "flipped")
            checkpoints.flip(folder / part, bit)
            state, problems = checkpoint.read_newest(folder)
            assert same(state, states[len(problems) == 0]), (name, bit)


class Sharded(torch.Tensor):
    """As a sharded tensor of the one process there is."""

    placements = ()
    to_local = torch.Tensor.detach


@counts
def test_of_shards(tmp_path, count):
    tensors = {
        name: tensor.contiguous().as_subclass(Sharded)
        for name, tensor in checkpoints.state_of(2)["critic"].items()
    }
    index = write_shards(tensors, tmp_path / "whole")
    read = read_shards(tmp_path / "whole", index=index)
    assert same(read, {name: tensor.as_subclass(torch.Tensor) for name, tensor in tensors.items()})
    for name in ("index.json", "part-00000.bin"):
        for bit in places((tmp_path / "whole" / name).stat().st_size, count // 2):
            folder = checkpoints.copied(tmp_path / "whole", tmp_path / "flipped")
            checkpoints.flip(folder / name, bit)
            with pytest.raises(DamagedFileError):
                read_shards(folder, index=index)


@counts
def test_of_a_generator(tmp_path, count):
    path = tmp_path / "generator.safetensors"
    tensors = {
        name: tensor.contiguous() for name, tensor in checkpoints.state_of(2)["critic"].items()
    }
    write_tensors(tensors, path)
    assert same(read_tensors(path), tensors)
    whole = path.read_bytes()
    for bit in places(len(whole), count):
        path.write_bytes(whole)
        checkpoints.flip(path, bit)
        with pytest.raises(DamagedFileError):
            read_tensors(path)


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
