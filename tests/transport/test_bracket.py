"""Bracket of W1 against POT, SciPy and closed forms, and the bound that noise does not raise."""

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from sngan.transport import wasserstein, wasserstein_bracket


def normal(count, dimensions, *, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dimensions, generator=generator, dtype=torch.float64)


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.tuples(st.integers(2, 20), st.integers(2, 20)),
    dimensions=st.integers(1, 6),
    exponent=st.integers(-150, 150),
    seed=st.integers(0, 10**6),
)
def test_the_exact_value_is_inside_the_bracket(sizes, dimensions, exponent, seed):
    scale = 10.0**exponent
    x = normal(sizes[0], dimensions, seed=seed) * scale
    y = (normal(sizes[1], dimensions, seed=seed + 1) + 0.3) * scale
    found = wasserstein_bracket(x, y)
    costs = ot.dist(x.numpy() / scale, y.numpy() / scale, metric="euclidean")
    exact = ot.emd2([], [], costs) * scale
    assert 0.0 < found.lower <= found.distance <= found.upper
    assert found.distance == pytest.approx(exact, rel=1e-9)
    assert found.lower == pytest.approx(found.upper, rel=1e-9)
    # on each half, no function with slopes of at most 1 can find more than the distance
    halves = [wasserstein(x[k::2], y[k::2]).distance for k in (0, 1)]
    assert 0.0 <= found.held_out <= sum(halves) / 2


@pytest.mark.parametrize("seed", range(3))
def test_a_line_agrees_with_scipy(seed):
    x, y = normal(50, 1, seed=seed), 2 * normal(80, 1, seed=seed + 9) + 1
    found = wasserstein_bracket(x, y)
    exact = wasserstein_distance(x[:, 0].numpy(), y[:, 0].numpy())
    assert found.distance == pytest.approx(exact, rel=1e-12)
    assert found.lower <= exact * (1 + 1e-12)
    assert found.upper >= exact * (1 - 1e-12)


@pytest.mark.parametrize("dimensions", [1, 3, 40])
def test_a_shift_is_its_length(dimensions):
    x = normal(200, dimensions, seed=0)
    shift = torch.full((dimensions,), 4.0, dtype=torch.float64) / dimensions**0.5
    found = wasserstein_bracket(x + shift, x)
    assert found.distance == pytest.approx(4.0, rel=1e-9)
    # the function that rises along the shift lasts on other samples
    assert 3.0 <= found.held_out <= 4.0 + 1e-9


def test_noise_raises_the_distance_and_not_the_held_out_bound():
    found = wasserstein_bracket(normal(150, 30, seed=1), normal(150, 30, seed=2))
    assert found.distance > 5.0
    assert found.held_out < 0.3
    mean = np.mean(
        [
            wasserstein_bracket(normal(60, 2, seed=2 * s) + 1, normal(60, 2, seed=2 * s + 1))
            .held_out for s in range(20)
        ]
    )  # fmt: skip
    # the distance of the distributions is √2
    assert 1.1 <= mean <= 2**0.5 + 0.05


def test_images_are_vectors_and_the_order_of_classes_does_not_matter():
    x, y = normal(20, 12, seed=0), normal(24, 12, seed=1)
    shaped = wasserstein_bracket(x.reshape(20, 3, 2, 2), y.reshape(24, 3, 2, 2))
    assert shaped == wasserstein_bracket(x, y)
    assert shaped.to_dict()["n_y"] == 24
    # two classes, one after the other: both halves have both
    classes = torch.cat([x + 100, x]), torch.cat([x + 100, x + 0.001])
    assert wasserstein_bracket(*classes).held_out < 1.0


@pytest.mark.parametrize(
    ("x", "y", "name"),
    [
        (torch.zeros(1, 2), torch.zeros(3, 2), "x"),
        (torch.zeros(3, 2), torch.zeros(0, 2), "y"),
        (torch.zeros(3, 2), torch.zeros(3, 3), "y"),
        (torch.full((3, 2), float("nan")), torch.zeros(3, 2), "x"),
        (torch.tensor(1.0), torch.zeros(3), "x"),
        (torch.zeros(3), "points", "y"),
        (torch.zeros(3), None, "y"),
    ],
)
def test_bad_samples_are_refused(x, y, name):
    with pytest.raises(ValueError, match=rf"^{name}: expected"):
        wasserstein_bracket(x, y)


def test_points_on_a_line_may_be_arrays_or_lists():
    x = torch.arange(6.0)
    expected = wasserstein_bracket(x[:, None], x[:, None] + 3)
    assert expected.distance == pytest.approx(3.0, abs=1e-12)
    assert wasserstein_bracket(x, x + 3) == expected
    assert wasserstein_bracket(x.numpy(), (x + 3).tolist()) == expected


def test_equal_samples():
    x = normal(30, 5, seed=3)
    found = wasserstein_bracket(x, x)
    assert found.distance == found.lower == found.upper == 0.0
    assert 0.0 <= found.held_out < 0.5


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("exponent", [-1070, -1000, -600, 600, 1000])
def test_no_square_of_the_held_out_bound_overflows_or_vanishes(exponent):
    """A power of two changes no digit of the samples, so the bound only gets this factor."""
    x = normal(12, 3, seed=0).mul(8).round()
    y = normal(12, 3, seed=1).mul(8).round() + torch.tensor([16.0, 0.0, 0.0])
    expected = wasserstein_bracket(x, y).held_out
    found = wasserstein_bracket(x * 2.0**exponent, y * 2.0**exponent).held_out
    assert expected > 8.0
    assert found / 2.0**exponent == pytest.approx(expected, rel=1e-12 if exponent > -1000 else 0.1)
