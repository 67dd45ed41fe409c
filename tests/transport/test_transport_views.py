"""Tables, pictures and landscapes of transport."""

import doctest
import itertools

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from helpers.clouds import (
    clouds,
    shares,
)
from sngan.transport import (
    explain,
    landscape,
    moves,
    plans,
    wasserstein,
)

SIX_BOXES = {
    "x": np.array([1.0, 2.0, 3.0]),
    "y": np.array([7.0, 8.0, 9.0, 10.0]),
    "weights_x": np.array([3.0, 2.0, 1.0]) / 6,
    "weights_y": np.array([1.0, 2.0, 1.0, 2.0]) / 6,
}


def test_six_boxes():
    table = explain(**SIX_BOXES, total=6).splitlines()
    assert table[0].split() == ["from", "to", "mass", "distance", "cost"]
    rows = [[float(cell) for cell in line.split()] for line in table[1:6]]
    for start, end, mass, distance, cost in rows:
        assert distance == end - start
        assert cost == mass * distance
    assert sum(cost for *_, cost in rows) == 42
    assert sum(row[2] for row in rows) == 6
    assert table[6] == "leaves:  3 at 1, 2 at 2, 1 at 3"
    assert table[7] == "reaches: 1 at 7, 2 at 8, 1 at 9, 2 at 10"
    assert table[8:] == ["cost of the cheapest plan: 42"]


def test_a_given_plan_beside_the_cheapest():
    x, y = np.array([1.0, 2.0]), np.array([1.0, 3.0])
    crossed = np.array([[0.0, 0.5], [0.5, 0.0]])
    table = explain(x, y, plan=crossed, total=2)
    assert "cost of this plan: 3\n" in table
    assert table.endswith("cost of the cheapest plan: 1")


def test_the_table_of_the_docstring():
    assert doctest.testmod(plans).failed == 0
    assert doctest.testmod(plans).attempted >= 2


@pytest.mark.parametrize("ending", ["png", "svg"])
@pytest.mark.parametrize("dimension", [1, 2])
def test_pictures(tmp_path, ending, dimension):
    x, y = clouds(5, 6, dimension)
    file = moves(x, y, tmp_path / "new" / f"plan.{ending}", weights_x=shares(5, 0))
    assert file.read_bytes()[:5] == (b"\x89PNG\r" if ending == "png" else b"<?xml")
    given = moves(x, y, tmp_path / f"given.{ending}", plan=np.full((5, 6), 1 / 30))
    assert given.stat().st_size > 1000
    moves(x[:1], x[:1], tmp_path / f"still.{ending}")


def mixture_divergence(t: float, width: float) -> float:
    """Jensen and Shannon's divergence by numerical integration of its definition."""

    def density(s, start):
        return (start <= s <= start + width) / width

    def integrand(s):
        p, q = density(s, 0), density(s, t)
        return sum(0.5 * r * np.log(2 * r / (p + q)) for r in (p, q) if r > 0)

    edges = sorted({0.0, width, t, t + width})
    return sum(quad(integrand, *pair)[0] for pair in itertools.pairwise(edges))


@pytest.mark.parametrize("t", [-3.0, -0.9, 0.0, 0.4, 1.1, 2.5])
def test_landscape_against_integration(t):
    width = 1.3
    found = landscape(np.array([t]), width=width)
    assert found.jensen_shannon[0] == pytest.approx(mixture_divergence(t, width), abs=1e-9)
    outside = np.clip(abs(t), 0, width) / width
    assert found.total_variation[0] == pytest.approx(outside, abs=1e-12)
    quantiles = width * (np.arange(500) + 0.5) / 500
    assert found.wasserstein[0] == pytest.approx(
        wasserstein(quantiles, quantiles + t).distance, abs=1e-12
    )
    assert found.kullback_leibler[0] == (0 if t == 0 else np.inf)


@pytest.mark.parametrize("width", [0.0, 1.3])
def test_landscape_slopes_against_differences(width):
    shifts, step = np.array([-2.0, -0.8, 0.3, 1.1, 4.0]), 1e-6
    here = landscape(shifts, width=width)
    ahead, behind = (landscape(shifts + move, width=width) for move in (step, -step))
    for name in ("jensen_shannon", "total_variation", "wasserstein"):
        slope = (getattr(ahead, name) - getattr(behind, name)) / (2 * step)
        np.testing.assert_allclose(getattr(here, f"{name}_gradient"), slope, atol=1e-8)
    assert np.isnan(here.kullback_leibler_gradient).all()


def test_parallel_lines():
    found = landscape(torch.linspace(-1, 1, 5))
    np.testing.assert_allclose(found.jensen_shannon, np.log(2) * np.array([1, 1, 0, 1, 1]))
    np.testing.assert_array_equal(found.total_variation, [1, 1, 0, 1, 1])
    np.testing.assert_array_equal(found.kullback_leibler, [np.inf, np.inf, 0, np.inf, np.inf])
    np.testing.assert_array_equal(found.wasserstein, [1, 0.5, 0, 0.5, 1])
    np.testing.assert_array_equal(found.wasserstein_gradient, [-1, -1, 0, 1, 1])
    np.testing.assert_array_equal(found.jensen_shannon_gradient, [0, 0, np.nan, 0, 0])
