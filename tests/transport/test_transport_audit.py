"""Audit of critics against the optimal potential, closed forms and duality."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from sngan.transport import audit_critic, optimal_potential, plot_potentials, wasserstein


def clouds(seed: int, count: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 2, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(count + 3, 2, 3, generator=generator, dtype=torch.float64) + 0.5
    return x, y


@pytest.mark.parametrize("seed", range(3))
def test_the_optimal_potential_proves_the_whole_distance(seed):
    x, y = clouds(seed)
    found = wasserstein(x.flatten(1), y.flatten(1))

    def best(points: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(optimal_potential(points, y, found.potential_y))

    audit = audit_critic(best, x, y, 1.0)
    assert audit.share == pytest.approx(1.0, abs=1e-9)
    assert audit.bound <= audit.upper
    assert audit.lower == pytest.approx(found.distance)
    # it is 1-Lipschitz
    points = torch.randn(30, 2, 3, dtype=torch.float64)
    slopes = (best(points)[:, None] - best(points)).abs() / torch.cdist(
        points.flatten(1), points.flatten(1)
    ).fill_diagonal_(1.0)
    assert slopes.max() <= 1 + 1e-9


@pytest.mark.parametrize(("slope", "share"), [(1.0, 1.0), (0.25, 0.25), (-0.5, -0.5), (0.0, 0.0)])
def test_the_share_is_the_slope_on_a_line(slope, share):
    x = torch.linspace(0, 1, 7).double()[:, None]
    audit = audit_critic(lambda points: slope * points[:, 0], x + 2, x, 1.0)
    assert audit.share == pytest.approx(share, abs=1e-12)
    assert audit.upper == pytest.approx(2.0)
    assert (audit.n_x, audit.n_y) == (7, 7)
    assert audit.to_dict()["share"] == audit.share
    # a negative bound proves nothing
    assert ("W1 ≥ 0 between" in audit.text()) == (slope <= 0)
    assert "-" not in audit.text()


def test_equal_samples_have_a_share_of_zero():
    x, _ = clouds(0)
    assert audit_critic(lambda points: points[:, 0, 0], x, x, 1.0).share == 0.0
    with pytest.raises(ValueError, match="y: expected a sample at a positive distance"):
        plot_potentials(lambda points: points[:, 0, 0], x, x, 1.0, io.BytesIO())


def test_the_picture_has_both_curves(tmp_path):
    x, y = clouds(1)
    plot_potentials(lambda points: points[:, 0, 0], x, y, 1.0, tmp_path / "potentials.png")
    pixels = np.asarray(Image.open(tmp_path / "potentials.png").convert("RGB")).astype(int)
    for colour in ((37, 99, 235), (234, 88, 12)):
        assert (np.abs(pixels - colour).sum(2) < 30).sum() > 200
