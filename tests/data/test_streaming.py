"""Streaming of shards and Parquet against independent readers; resume, ranks."""

import copy
import gc
import tarfile
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.examples import examples
from helpers.pictures import as_tensor, encoded
from helpers.streams import (
    LENGTHS,
    PICTURES,
    SIZE,
    numbers,
    opened,
    plain,
    write_tar,
)
from sngan.data import open_source, opening
from sngan.data.batches.interleaving import ChunkInterleaver, slices_of_rows
from sngan.data.types import Chunk
from sngan.distributed import collectives


def test_the_data_set_is_that_of_an_independent_reader(stream, streams):
    assert (len(stream), stream.total, stream.sample_shape) == (SIZE, SIZE, (3, 8, 8))
    assert stream.labels.tolist() == list(range(SIZE))
    assert stream.class_names == tuple(map(str, range(SIZE)))
    assert stream.stream.class_counts.tolist() == [1] * SIZE
    pictures = []
    for file in sorted(streams.glob("*.tar")):
        with tarfile.open(file) as tar:
            for member in tar.getmembers():
                if member.name.endswith(".png"):
                    with Image.open(tar.extractfile(member)) as picture:
                        pictures.append(as_tensor(picture))
    assert torch.equal(stream.samples, torch.stack(pictures))


@pytest.mark.parametrize("batch_size", [1, 4, 7, 8])
def test_every_picture_comes_once_an_epoch(stream, batch_size):
    sampler = plain(stream, batch_size)
    drawn = [n for _ in range(-(-3 * SIZE // batch_size)) for n in numbers(sampler.next())]
    times = np.bincount(drawn, minlength=SIZE)
    # readers may have begun the fourth epoch while others end the third
    assert times.min() >= 2
    assert times.max() <= 4


def test_one_reader_draws_whole_epochs(stream):
    sampler = plain(stream, 1)
    drawn = [numbers(sampler.next())[0] for _ in range(2 * SIZE)]
    assert sorted(drawn[:SIZE]) == sorted(drawn[SIZE:]) == list(range(SIZE))
    assert drawn[:SIZE] != drawn[SIZE:]
    # samples are shuffled inside the chunks too
    within = [n for n in drawn[:SIZE] if n >= SIZE - LENGTHS[-1]]
    assert within != sorted(within)
    other = plain(stream, 1, seed=1)
    assert [numbers(other.next())[0] for _ in range(SIZE)] != drawn[:SIZE]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(25))
@given(before=st.integers(0, 3 * SIZE), batch_size=st.sampled_from([1, 4, 6, 16]))
def test_resume_is_exact_and_reads_nothing_again(stream, before, batch_size):
    sampler = plain(stream, batch_size)
    for _ in range(before // batch_size):
        sampler.next()
    state = copy.deepcopy(sampler.state_dict())
    expected = [sampler.next() for _ in range(4)]
    chunks, read = counted(stream.stream.chunks)
    resumed = plain(
        replace(stream, stream=replace(stream.stream, chunks=chunks, workers=1)), batch_size
    )
    resumed.load_state_dict(state)
    for batch in expected:
        again = resumed.next()
        assert torch.equal(again.samples, batch.samples)
        assert torch.equal(again.labels, batch.labels)
    current = {chunk for _, chunk, _ in state["lanes"]}
    assert current <= set(read)


def counted(chunks: tuple[Chunk, ...]) -> tuple[tuple[Chunk, ...], list[int]]:
    """Return the same chunks, and a list to which each appends its number when opened."""
    read: list[int] = []

    def opening(number: int):
        def open_chunk():
            read.append(number)
            return chunks[number].open()

        return open_chunk

    return tuple(Chunk(c.length, opening(n)) for n, c in enumerate(chunks)), read


def as_rank(monkeypatch, own: int, count: int) -> None:
    monkeypatch.setattr(collectives, "rank", lambda: own)
    monkeypatch.setattr(collectives, "world_size", lambda: count)


@pytest.mark.parametrize("count", [2, 3, 6])
def test_ranks_share_the_batches_of_one(stream, monkeypatch, count):
    whole = plain(stream, 6)
    expected = [numbers(whole.next()) for _ in range(20)]
    parts, states = [], []
    for own in range(count):
        as_rank(monkeypatch, own, count)
        sampler = plain(stream, 6)
        parts.append([numbers(sampler.next()) for _ in range(20)])
        states.append(sampler.state_dict())
    assert [sum(batch, []) for batch in zip(*parts, strict=True)] == expected  # noqa: RUF017
    assert all(state == whole.state_dict() for state in states)


def test_each_rank_opens_its_own_chunks_only(stream, monkeypatch):
    interleaver = ChunkInterleaver(LENGTHS, 2, seed=0)
    # two batches are decoded ahead
    batches = [interleaver.next() for _ in range(22)]
    owned = []
    for own in range(2):
        as_rank(monkeypatch, own, 2)
        chunks, read = counted(stream.stream.chunks)
        sampler = plain(replace(stream, stream=replace(stream.stream, chunks=chunks, workers=1)), 2)
        for _ in range(21):
            sampler.next()
        for loaded, _ in sampler._batches._pending:
            loaded.result()
        dealt = {
            (p.epoch, p.chunk): None
            for batch in batches
            for p in slices_of_rows(batch, own, own + 1)
        }
        assert read == [chunk for _, chunk in dealt]
        owned.append(set(dealt))
    assert not owned[0] & owned[1]


def test_a_stream_that_is_larger_is_represented_at_equal_distances(streams, tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "_REPRESENTATIVE", 10)
    for kind in ("shards", "parquet"):
        some = opened(streams, kind, tmp_path)
        assert (len(some), some.total) == (10, SIZE)
        assert some.labels.tolist() == [i * SIZE // 10 for i in range(10)]
        for index, label in enumerate(some.labels.tolist()):
            assert torch.equal(some.samples[index], as_tensor(PICTURES[label]))
        sampler = plain(some, 1)
        assert sorted(numbers(sampler.next())[0] for _ in range(SIZE)) == list(range(SIZE))


@pytest.mark.parametrize("cache", ["memory", "device", "disk"])
def test_shards_can_be_decoded_at_once(streams, tmp_path, cache):
    source = f"shards:{streams}/*.tar"
    whole = open_source(source, cache=cache, cache_dir=tmp_path)
    assert whole.stream is None
    assert torch.equal(whole.samples, opened(streams, "shards", tmp_path).samples)
    assert whole.labels.tolist() == list(range(SIZE))


def test_auto_streams_shards_and_not_parquet(streams, tmp_path):
    assert open_source(f"shards:{streams}/*.tar", cache_dir=tmp_path).stream is not None
    assert open_source(f"{streams}/all.parquet", cache_dir=tmp_path).stream is None


def test_resolution_and_channels(streams, tmp_path):
    grey = opened(streams, "shards", tmp_path, resolution=4, channels=1)
    batch = plain(grey).next()
    assert batch.samples.shape == (8, 1, 4, 4)
    whole = open_source(f"{streams}/all.parquet", resolution=4, channels=1, cache="memory")
    expected = whole.values(batch.labels)
    assert torch.equal(batch.samples, expected)


def test_labels_are_drawn_in_the_frequencies_of_all(tmp_path):
    pictures = {f"{n}.png": encoded(PICTURES[n]) for n in range(40)}
    labels = {f"{n}.cls": str(3 if n < 30 else n % 2).encode() for n in range(40)}
    write_tar(tmp_path / "a.tar", dict(sorted((pictures | labels).items())))
    dataset = open_source(f"shards:{tmp_path}/a.tar", cache_dir=tmp_path)
    assert dataset.class_names == ("0", "1", "2", "3")
    torch.manual_seed(0)
    shares = torch.bincount(plain(dataset).draw_labels(20_000), minlength=4) / 20_000
    torch.testing.assert_close(shares, torch.tensor([0.125, 0.125, 0, 0.75]), atol=0.015, rtol=0)
    assert plain(replace(dataset, labels=None)).draw_labels(5) is None
    assert plain(replace(dataset, labels=None)).next().labels is None


def test_a_shard_that_vanishes_is_an_error_of_next(streams, tmp_path):
    (tmp_path / "a.tar").write_bytes((streams / "train-001.tar").read_bytes())
    dataset = open_source(f"shards:{tmp_path}/a.tar", cache_dir=tmp_path)
    sampler = plain(dataset)
    (tmp_path / "a.tar").unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.tar"):
        sampler.next()


def test_a_shard_that_shrinks_is_an_error_of_next(streams, tmp_path):
    (tmp_path / "a.tar").write_bytes((streams / "train-001.tar").read_bytes())
    dataset = open_source(f"shards:{tmp_path}/a.tar", cache_dir=tmp_path)
    (tmp_path / "a.tar").write_bytes(b"")
    with pytest.raises(ValueError, match=r"^data: expected images, got none that can be read"):
        plain(dataset).next()


@pytest.mark.usefixtures("quick_collection")
def test_threads_end_with_the_sampler(stream):
    gc.collect()
    before = set(threading.enumerate())
    sampler = plain(stream)
    sampler.next()
    started = [t for t in set(threading.enumerate()) - before if t.name.startswith("sngan-data")]
    assert started
    del sampler
    gc.collect()
    for thread in started:
        thread.join(timeout=10)
        assert not thread.is_alive()
