"""Interleaving of chunks: every sample once an epoch, whatever the lengths of chunks."""

import copy
from collections import defaultdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sngan.data.batches.interleaving import ChunkInterleaver, ChunkSlice, slices_of_rows
from sngan.data.batches.shuffling import seeded_permutation

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=20)
BATCHES = st.integers(1, 24)


def samples(parts: list[ChunkSlice]) -> list[tuple[int, int, int]]:
    return [(p.epoch, p.chunk, at) for p in parts for at in range(p.start, p.stop)]


@settings(deadline=None)
@given(LENGTHS, BATCHES, st.integers(0, 2**40), st.integers(1, 60))
def test_each_sample_comes_once_an_epoch(lengths, batch_size, seed, count):
    interleaver = ChunkInterleaver(lengths, batch_size, seed=seed)
    batches = [samples(interleaver.next()) for _ in range(count)]
    assert {len(batch) for batch in batches} == {batch_size}
    drawn = [sample for batch in batches for sample in batch]
    assert len(set(drawn)) == len(drawn)
    epochs = defaultdict(set)
    for epoch, *sample in drawn:
        epochs[epoch].add(tuple(sample))
    whole = {(chunk, at) for chunk, length in enumerate(lengths) for at in range(length)}
    # an epoch is over when no reader is in it any more
    over = min(epoch for epoch, _, _ in interleaver.state_dict()["lanes"])
    for epoch in range(over):
        assert epochs[epoch] == whole
    # the next epoch begins when all chunks of the last are being read or done
    for epoch in range(1, max(epochs) + 1):
        before = drawn[: next(i for i, sample in enumerate(drawn) if sample[0] == epoch)]
        unfinished = len(whole) - sum(sample[0] == epoch - 1 for sample in before)
        assert unfinished <= 8 * max(lengths)


@given(LENGTHS, BATCHES, st.integers(0, 5), st.integers(0, 40))
def test_resume_is_exact(lengths, batch_size, seed, before):
    interleaver = ChunkInterleaver(lengths, batch_size, seed=seed)
    for _ in range(before):
        interleaver.next()
    state = interleaver.state_dict()
    kept = copy.deepcopy(state)
    expected = [interleaver.next() for _ in range(5)]
    assert state == kept
    other = ChunkInterleaver(lengths, batch_size, seed=seed)
    other.load_state_dict(state)
    assert [other.next() for _ in range(5)] == expected
    assert other.state_dict() == interleaver.state_dict()


@given(LENGTHS, st.integers(1, 6), st.sampled_from([1, 2, 3, 4, 6, 12]), st.integers(1, 5))
def test_the_rows_of_all_ranks_are_the_batch(lengths, share, ranks, count):
    interleaver = ChunkInterleaver(lengths, share * ranks, seed=0)
    for _ in range(count):
        parts = interleaver.next()
        split = [
            list(slices_of_rows(parts, rank * share, (rank + 1) * share)) for rank in range(ranks)
        ]
        assert [len(samples(own)) for own in split] == [share] * ranks
        assert [one for own in split for one in samples(own)] == samples(parts)


@pytest.mark.parametrize(
    ("batch_size", "chunks", "count"),
    [(64, 100, 8), (64, 7, 4), (60, 100, 6), (7, 100, 7), (11, 100, 1), (8, 1, 1), (2, 100, 2)],
)
def test_readers_divide_the_batch(batch_size, chunks, count):
    interleaver = ChunkInterleaver([5] * chunks, batch_size, seed=0)
    assert len(interleaver.state_dict()["lanes"]) == count
    # that many chunks are read at a time
    assert len({part.chunk for part in interleaver.next()}) >= min(count, chunks)


def test_ranks_that_divide_the_readers_share_no_chunk():
    interleaver = ChunkInterleaver([50] * 40, 64, seed=3)
    owners = defaultdict(set)
    for _ in range(200):
        parts = interleaver.next()
        for rank in range(4):
            for part in slices_of_rows(parts, 16 * rank, 16 * (rank + 1)):
                owners[part.epoch, part.chunk].add(rank)
    assert {len(ranks) for ranks in owners.values()} == {1}
    assert {rank for ranks in owners.values() for rank in ranks} == {0, 1, 2, 3}


def test_orders_differ_between_seeds_and_epochs():
    orders = []
    for seed in (0, 1):
        interleaver = ChunkInterleaver([4] * 30, 4, seed=seed)
        chunks = [part.chunk for _ in range(90) for part in interleaver.next()]
        orders += [tuple(chunks[start : start + 120]) for start in (0, 120, 240)]
    assert len(set(orders)) == 6


def test_a_permutation_follows_from_its_key():
    order = seeded_permutation(100, 1, 2, 3)
    assert torch.equal(order.sort().values, torch.arange(100))
    assert torch.equal(order, seeded_permutation(100, 1, 2, 3))
    assert not torch.equal(order, seeded_permutation(100, 1, 3, 2))


def test_the_state_of_other_chunks_are_refused():
    """With equally many samples in other chunks, the state would point outside of them."""
    state = ChunkInterleaver([10] * 30, 12, seed=0).state_dict()
    for lengths in ([100] * 3, [1] * 300):
        with pytest.raises(ValueError, match=r"^data: expected the chunks that the run was"):
            ChunkInterleaver(lengths, 12, seed=0).load_state_dict(state)
