"""Checksums of caches: a flipped bit is found, and the cached images or tensors are made again."""

import random

import numpy as np
import pytest
import torch

from helpers.checkpoints import flip
from sngan.data.cache import ImageCache
from sngan.data.types import Decoded, Skipped
from sngan.metrics.store import cached


@pytest.fixture
def cache(tmp_path):
    cache = ImageCache(tmp_path, "key")
    images = cache.allocate((5, 1, 4, 4))
    images[:] = np.random.default_rng(0).integers(0, 256, images.shape)
    cache.store(Decoded(images, [0, 1, 0, 1, 2], [Skipped("a.png", "cut off")]))
    return cache


@pytest.mark.parametrize("part", ["images", "metadata"])
def test_flips_in_cached_images_are_found(cache, part, caplog):
    path = getattr(cache, part)
    whole, chance = path.read_bytes(), random.Random(0)
    assert cache.load().labels == [0, 1, 0, 1, 2]
    for _ in range(60):
        path.write_bytes(whole)
        flip(path, chance.randrange(8 * len(whole)))
        assert cache.load() is None
    assert "is damaged" in caplog.text


def test_flips_in_cached_tensors_are_found(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    expected, chance = {"a": torch.arange(6.0), "b": torch.tensor(3)}, random.Random(0)
    cached("name", lambda: expected)
    (path,) = tmp_path.rglob("name.safetensors")
    size = path.stat().st_size
    for _ in range(60):
        flip(path, chance.randrange(8 * size))
        again = cached("name", lambda: expected)
        assert all(torch.equal(again[name], value) for name, value in expected.items())
    assert caplog.text.count("is damaged") == 60
