"""Sampler: every sample once an epoch, exact resume, the paper's scaling of pixels."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sngan.data import Dataset, Sampler


def numbered(count: int, *, cache: str = "auto") -> Dataset:
    values = torch.arange(count, dtype=torch.float32)[:, None]
    return Dataset("numbers", values, labels=torch.arange(count), cache=cache)


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 10), st.integers(0, 2**31))
def test_every_sample_once_an_epoch(count, batch_size, epochs, seed):
    sampler = Sampler(numbered(count), batch_size, seed=seed)
    batches = -(-(epochs + 1) * count // batch_size)
    drawn = torch.cat([sampler.next().samples[:, 0] for _ in range(batches)])
    assert len(drawn) == batches * batch_size
    for epoch in range(epochs + 1):
        assert sorted(drawn[epoch * count : (epoch + 1) * count].tolist()) == list(range(count))


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 20), st.integers(0, 5))
def test_resume_is_exact(count, batch_size, before, seed):
    sampler = Sampler(numbered(count), batch_size, seed=seed)
    for _ in range(before):
        sampler.next()
    state = copy.deepcopy(sampler.state_dict())
    expected = [sampler.next().samples for _ in range(5)]
    other = Sampler(numbered(count), batch_size, seed=seed)
    other.load_state_dict(state)
    assert all(torch.equal(other.next().samples, batch) for batch in expected)
    assert all(isinstance(value, int) for value in state.values())


def test_epochs_and_seeds_differ():
    orders = []
    for seed in (0, 1):
        sampler = Sampler(numbered(100), 100, seed=seed)
        orders += [tuple(sampler.next().labels.tolist()) for _ in range(3)]
    assert len(set(orders)) == 6


def test_labels_stay_with_their_samples():
    sampler = Sampler(numbered(10, cache="memory"), 7)
    for _ in range(5):
        batch = sampler.next()
        assert torch.equal(batch.samples[:, 0].long(), batch.labels)


def grey(level: int, count: int = 4000) -> Dataset:
    return Dataset("grey", torch.full((count, 1, 4, 4), level, dtype=torch.uint8))


@pytest.mark.parametrize("level", [0, 100, 255])
def test_dequantization_is_uniform_over_one_grey_level(level):
    torch.manual_seed(0)
    images = Sampler(grey(level), 4000).next().samples
    noise = (images - (level / 128 - 1)) * 128
    assert noise.min() >= -1e-4
    assert noise.max() <= 1 + 1e-4
    assert noise.mean().item() == pytest.approx(0.5, abs=0.01)
    assert noise.std().item() == pytest.approx(12**-0.5, abs=0.01)
    assert images.max() < 1


def test_without_noise_the_whole_interval_is_used():
    for level, value in ((0, -1.0), (255, 1.0)):
        images = Sampler(grey(level, 3), 3, dequantize=False).next().samples
        assert torch.equal(images, torch.full_like(images, value))


def test_flips_mirror_about_half_of_the_images():
    picture = torch.arange(8, dtype=torch.uint8).view(1, 1, 2, 4).repeat(2000, 1, 1, 1)
    torch.manual_seed(0)
    sampler = Sampler(Dataset("a", picture), 2000, flip=True, dequantize=False)
    images = ((sampler.next().samples + 1) * 127.5).round().byte()
    mirrored = (images == picture.flip(3)).flatten(1).all(1)
    kept = (images == picture).flatten(1).all(1)
    assert bool((mirrored ^ kept).all())
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_batch_size_is_checked():
    with pytest.raises(ValueError, match="batch_size: expected an integer of at least 1, got 0"):
        Sampler(numbered(3), 0)
