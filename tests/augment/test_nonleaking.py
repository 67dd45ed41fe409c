"""Augmentation that does not leak: how often it is applied, and whether it can be undone."""

import numpy as np
import pytest
import torch
from scipy import stats

from sngan.augment import MOST_P, adjusted, nonleaking
from sngan.augment.colours import draw_colours
from sngan.augment.geometry import draw_geometry, transform

N = 20_000


def shares(p: float) -> dict[str, tuple[int, float]]:
    """For each transformation: how many of N images show it, and the probability of that."""
    images = torch.zeros(1).double().expand(N, 3, 16, 16)
    probability = torch.tensor(p)
    geometry, colours = draw_geometry(images, probability), draw_colours(images, probability)
    determinant = torch.linalg.det(geometry.linear)
    product = geometry.linear @ geometry.linear.mT
    shape = product / determinant[:, None, None]
    is_conformal = (shape - torch.eye(2)).abs().amax((1, 2)) < 1e-6
    both = geometry.linear[:, 1, 0] - geometry.linear[:, 0, 1]
    is_upright = both.abs() < 1e-9
    saturation = colours.chroma / colours.luma.abs()
    found = {
        "mirrored": (geometry.mirrored, p / 2),
        "turned": (geometry.turns != 0, 0.75 * p),
        # one of the 5 × 5 shifts is none
        "shifted": ((geometry.shift != 0).any(1), p * 24 / 25),
        "scaled": ((determinant - 1).abs() > 1e-9, p),
        "stretched": (~is_conformal, p),
        "rotated": (~is_upright, p),
        "moved": ((geometry.offset != 0).any(1), p),
        "brighter": (colours.brightness != 0, p),
        "contrast": ((colours.luma.abs() - 1).abs() > 1e-12, p),
        "inverted": (colours.luma < 0, p / 2),
        "hue": (colours.hue != 0, p),
        "saturation": ((saturation - 1).abs() > 1e-12, p),
    }
    return {name: (int(count.sum()), chance) for name, (count, chance) in found.items()}


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.8, 1.0])
def test_each_transformation_has_its_probability(p):
    torch.manual_seed(int(100 * p))
    for name, (count, chance) in shares(p).items():
        certain = chance in (0, 1)
        low, high = [N * chance] * 2 if certain else stats.binom.interval(1 - 1e-6, N, chance)
        assert low <= count <= high, (name, count / N, chance)


def test_without_a_transformation_an_image_stays_as_it_is():
    images = torch.rand(2000, 3, 8, 8)
    assert torch.equal(nonleaking(images, torch.tensor(0.0)), images)
    torch.manual_seed(0)
    some = nonleaking(images, 0.05)
    same = (some == images).all(3).all(2).all(1).double().mean().item()
    # 12 transformations, of which some show nothing
    assert 0.95**12 - 0.05 < same < 0.95**12 + 0.12


def chances_of_turns(p: float) -> np.ndarray:
    """How often quarter turns make image j of image i, for the four turns of one image."""
    torch.manual_seed(1)
    one = torch.rand(1, 1, 4, 4)
    images = torch.cat([torch.rot90(one, turns, (2, 3)) for turns in range(4)])
    found = np.zeros((4, 4))
    for index in range(4):
        batch = images[index : index + 1].expand(N // 2, -1, -1, -1)
        drawn = draw_geometry(batch, torch.tensor(p))
        nothing = torch.zeros_like
        drawn = drawn._replace(
            mirrored=nothing(drawn.mirrored),
            shift=nothing(drawn.shift),
            is_resampled=nothing(drawn.is_resampled),
        )
        seen = transform(batch, drawn)
        equal = (seen[:, None] == images[None]).flatten(2).all(2)
        assert equal.sum().item() == N // 2
        found[:, index] = equal.double().mean(0).numpy()
    return found


def test_quarter_turns_can_be_undone_below_1_and_not_at_1():
    """The shares of four images follow from those of their augmented images, if p < 1."""
    true = np.array([0.7, 0.2, 0.1, 0.0])
    often = chances_of_turns(0.8)
    assert np.linalg.svd(often)[1][-1] == pytest.approx(0.2, abs=0.02)
    exact = 0.2 * np.eye(4) + 0.8 * np.full((4, 4), 0.25)
    np.testing.assert_allclose(often, exact, atol=0.015)
    np.testing.assert_allclose(np.linalg.solve(often, exact @ true), true, atol=0.1)
    always = chances_of_turns(1.0)
    assert np.linalg.svd(always)[1][-1] < 0.02
    # all four images become equally frequent: it leaks
    np.testing.assert_allclose(always @ true, [0.25] * 4, atol=0.01)


@pytest.mark.parametrize(("most", "limit"), [(1, 0.75), (2, 0.8), (4, 0.817), (16, 0.8215)])
def test_the_limit_of_p_is_where_shifts_lose_a_frequency(most, limit):
    """The factor of a frequency, from the definition as a mean of shifts."""
    frequency = np.linspace(0, np.pi, 20_001)
    mean = np.mean([np.cos(shift * frequency) for shift in range(-most, most + 1)], axis=0)
    assert 1 / (1 - mean.min()) == pytest.approx(limit, abs=2e-3)
    assert abs(MOST_P - limit) <= 0.05 + 1e-9


def test_p_comes_to_rest_where_a_critic_meets_the_target():
    """A critic that overfits by 1 − p comes to rest at p = 0.4 for the target 0.6."""
    generator = torch.Generator().manual_seed(0)
    p, change, path = torch.zeros(()), 256 / 20_000, []
    for _ in range(400):
        chance = (1 + (1 - p)) / 2
        signs = 2 * (torch.rand(256, generator=generator) < chance).float() - 1
        p = adjusted(p, signs.mean(), target=0.6, change=change)
        path.append(p.item())
    # it needs 0.4 of the images in which it could go from 0 to 1
    arrived = next(i for i, one in enumerate(path) if one >= 0.35)
    assert 0.35 / change - 1 <= arrived <= 0.45 / change
    assert np.mean(path[100:]) == pytest.approx(0.4, abs=0.04)
    assert np.abs(np.array(path[100:]) - 0.4).max() < 0.15


def test_p_stays_between_0_and_its_limit():
    step = {"target": 0.6, "change": 0.1}
    p = torch.tensor([0.0, 0.05, 0.5, 0.75])
    torch.testing.assert_close(
        adjusted(p, torch.ones(4), **step), torch.tensor([0.1, 0.15, 0.6, MOST_P])
    )
    torch.testing.assert_close(
        adjusted(p, -torch.ones(4), **step), torch.tensor([0.0, 0.0, 0.4, 0.65])
    )
    assert torch.equal(adjusted(p, torch.full((4,), 0.6), **step), p)


@pytest.mark.parametrize("bad", [torch.zeros(3, 2), torch.zeros(2, 1, 4, 4).byte()])
def test_bad_images(bad):
    with pytest.raises(ValueError, match=r"^images: expected floating-point images \(N, C, H, W\)"):
        nonleaking(bad, 0.5)
