"""Learning at the end of a run, decided from curves whose trend and noise are known."""

import pytest
import torch

from sngan.report.learning import still_learning, typical


def curve(fall, *, noise=0.0, points=200, seed=0, steps=10_000):
    """A curve that falls from 1 by ``fall`` in the last fifth of the steps, with noise."""
    at = torch.linspace(steps / points, steps, points, dtype=torch.float64)
    late = ((at / steps - 0.8) / 0.2).clamp_min(0)
    generator = torch.Generator().manual_seed(seed)
    wave = noise * torch.randn(points, generator=generator, dtype=torch.float64)
    return list(zip(at.tolist(), (1 - fall * late + wave).tolist(), strict=True))


@pytest.mark.parametrize("fall", [0.1, 0.3, 0.8])
def test_a_fall_beyond_the_noise_is_told_with_its_size(fall):
    found = still_learning({"w1": curve(fall, noise=fall / 10)}, ["w1"])
    assert found.gain == pytest.approx(fall, rel=0.15)
    assert found.noise == pytest.approx(fall / 10, rel=0.4)


def test_a_level_curve_is_rarely_accused():
    found = [still_learning({"w1": curve(0, noise=0.3, seed=seed)}, ["w1"]) for seed in range(200)]
    assert sum(one is not None for one in found) <= 2


@pytest.mark.parametrize("fall", [0.04, -0.5])
def test_a_small_fall_and_a_rise_are_no_learning(fall):
    assert still_learning({"w1": curve(fall)}, ["w1"]) is None


def test_a_fall_within_the_noise_is_no_learning():
    assert still_learning({"w1": curve(0.2, noise=0.4)}, ["w1"]) is None


def test_the_first_curve_with_enough_points_decides():
    short, long = curve(0.5, points=5), curve(0.5, points=12)
    found = still_learning({"w1": short, "evaluation.frechet": long}, ["w1", "evaluation.frechet"])
    assert found.curve == "frechet"
    assert still_learning({"w1": short}, ["w1", "evaluation.frechet"]) is None


def test_a_row_of_seeds_learns_if_most_of_them_do():
    learns = still_learning({"w1": curve(0.5)}, ["w1"])
    assert typical([learns, None, learns]) == learns
    assert typical([learns, None]) is None
    assert typical([]) is None
