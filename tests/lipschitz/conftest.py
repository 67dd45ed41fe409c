"""The same random numbers for every test, and a short search for bounds in quick ones."""

from collections.abc import Generator

import pytest
import torch


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def full_effort() -> None:
    """Search bounds in this test as long as for users."""


@pytest.fixture(autouse=True)
def _short_search(request: pytest.FixtureRequest) -> Generator[None]:
    """Every proof must hold after a short search too; how tight it gets is for other tests."""
    is_slow = request.node.get_closest_marker("slow") is not None
    if is_slow or "full_effort" in request.fixturenames:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sngan.lipschitz.slopes.multipliers.STEPS", 100)
        patch.setattr("sngan.lipschitz.local.splitting.MOST_PARTS", 4)
        yield
