"""The same random numbers for every test, and local bounds that are quick."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def few_parts(monkeypatch):
    """Split a box 4 times and not 40 times: a coarser bound takes a tenth of the time."""
    monkeypatch.setattr("sngan.lipschitz.local.splitting.MOST_PARTS", 4)
