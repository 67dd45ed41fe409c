"""Hostile indices of sharded tensors: nothing in them is called, imported, built or followed."""

import json
import random
import time

import pytest
import torch
from torch.distributed.checkpoint import filesystem, metadata

from helpers import checkpoints, gadgets
from helpers.tiny_run import same
from sngan.distributed.sharded_files import read_sharded
from sngan.runs import checkpoint
from sngan.utils.tensor_files import DamagedFileError

PART = "step-000002-000002.shards/.metadata"
SHARED = (
    *(metadata.Metadata, metadata.MetadataIndex, metadata.TensorProperties, metadata.StorageMeta),
    *(metadata.TensorStorageMetadata, metadata.ChunkStorageMetadata, filesystem._StorageInfo),
    *(torch.Size, torch.dtype, torch.serialization._get_layout, torch.serialization),
)


def shared() -> list[set[str]]:
    return [set(vars(one)) for one in SHARED]


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    folder = tmp_path_factory.mktemp("old") / "checkpoints"
    checkpoints.write_old_shards(folder)
    return folder


def test_an_index_of_torch_is_read(old):
    expected = {"format": "sngan checkpoint 1", **checkpoints.state_of(2)}
    assert same(checkpoint.read(old / "last.pt"), expected)


@pytest.mark.parametrize("name", gadgets.gadgets("unused"))
def test_gadgets_do_nothing(old, tmp_path, name, tally):
    counted = tally("gadgets in an index of shards")
    folder, before = checkpoints.copied(old, tmp_path / "checkpoints"), shared()
    target = tmp_path / "written"
    (folder / PART).write_bytes(gadgets.gadgets(str(target))[name])
    started = time.monotonic()
    state, problems = checkpoint.read_newest(folder)
    assert time.monotonic() - started < 20
    assert (state["step"], len(problems)) == (1, 1)
    counted.tried = 1
    counted.silent += [name] * (target.exists() or shared() != before)
    assert counted.wrong == []


@pytest.mark.parametrize("count", [60, pytest.param(3000, marks=pytest.mark.faults)])
def test_fuzzed_indices_are_refused_or_right(old, tmp_path, count, tally):
    counted = tally("damaged indices of shards")
    chance, before = random.Random(count), shared()
    folder = checkpoints.copied(old, tmp_path / "checkpoints")
    whole = (folder / PART).read_bytes()
    seeds = [whole, *gadgets.gadgets(str(tmp_path / "written")).values()]
    expected = [{"format": "sngan checkpoint 1", **checkpoints.state_of(step)} for step in (1, 2)]
    for _ in range(count):
        data = gadgets.mutated(chance.choice(seeds) if chance.random() < 0.3 else whole, chance)
        (folder / PART).write_bytes(data)
        state, problems = checkpoint.read_newest(folder)
        counted.tried += 1
        differing = [key for key in state if not same(state[key], expected[not problems].get(key))]
        found = counted.lost if problems else counted.silent
        found += [f"{differing}: {state['critic']} of {data!r}"] * bool(differing)
    assert counted.wrong == []
    assert not (tmp_path / "written").exists()
    assert shared() == before


def index(**changes: object) -> dict:
    part = {"tensor": "w", "start": [0], "shape": [2], "file": "part-00000.bin", "offset": 0}
    digest = "9b74c9897bac770ffc029102a200c5de"
    parts = [{**part, "length": 8, "sha256": digest, **changes}]
    return {
        "format": "sngan shards 2",
        "tensors": {"w": {"shape": [2], "dtype": "float32"}},
        "parts": parts,
    }


HOSTILE = {
    "a path out of the folder": index(file="../secret"),
    "an absolute path": index(file="/etc/passwd"),
    "a name with a slash": index(file="a/part-00000.bin"),
    "a huge part": index(shape=[10**15]),
    "a negative place": index(start=[-1]),
    "a place that is no number": index(offset="0"),
    "a tensor that is not listed": index(tensor="v"),
    "a huge tensor": {**index(), "tensors": {"w": {"shape": [10**12], "dtype": "float32"}}},
    "no parts": {**index(), "parts": []},
    "a type of no tensor": {**index(), "tensors": {"w": {"shape": [2], "dtype": "ByteStorage"}}},
    "a list": [],
    "nothing": None,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_indices_in_json(tmp_path, name):
    folder = tmp_path / "shards"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(8))
    (folder / "part-00000.bin").write_bytes(bytes(8))
    (folder / "index.json").write_text(json.dumps(HOSTILE[name]))
    with pytest.raises(DamagedFileError):
        read_sharded(folder)


def test_links_are_not_followed(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(8))
    (folder / "part-00000.bin").symlink_to(tmp_path / "secret")
    (folder / "index.json").write_text(json.dumps(index()))
    with pytest.raises(DamagedFileError, match="symbolic link"):
        read_sharded(folder)


@pytest.mark.parametrize("name", ["..", ".", "../step-000002-000002.shards", "/tmp", 3, None])
def test_a_checkpoint_names_shards_beside_itself(old, tmp_path, name):
    folder = checkpoints.copied(old, tmp_path / "checkpoints")
    state = torch.load(folder / "last.pt")
    state["shards"]["folder"] = name
    torch.save(state, folder / "last.pt")
    with pytest.raises(ValueError, match="checkpoint: expected a whole sngan checkpoint, got "):
        checkpoint.read(folder / "last.pt")
