"""Fixtures of the tests of metrics: caches, a small data set, and a short training."""

import pytest
import torch

from helpers.features import uniform
from sngan.data import Dataset


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """An empty cache for one test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def shared_cache(tmp_path_factory, monkeypatch):
    """One cache for all tests of metrics, and a short training of the domain classifier."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setattr("sngan.metrics.domain.TRAINING_STEPS", 120)


@pytest.fixture
def short_training(monkeypatch):
    """Fewer steps for the domain classifier than users get."""
    monkeypatch.setattr("sngan.metrics.domain.TRAINING_STEPS", 40)


@pytest.fixture(scope="session")
def few():
    """Two classes that are easy to distinguish."""
    labels = torch.arange(200) % 2
    pixels = (uniform(200, 1, 8, 8) * 100).to(torch.uint8)
    pixels[:, :, :4] += (labels * 100).to(torch.uint8)[:, None, None, None]
    return Dataset("few", pixels, labels, ("low", "high"))
