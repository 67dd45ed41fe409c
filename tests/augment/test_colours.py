"""Colours of augmentation against 4×4 matrices that are multiplied one by one."""

import math

import numpy as np
import pytest
import torch

from sngan.augment.colours import Colours, draw_colours, recolour

AXIS = np.array([1, 1, 1]) / math.sqrt(3)


def matrix(brightness, contrast, inverted, hue, saturation) -> np.ndarray:
    """The product of the changes of Karras et al. 2020, appendix B, as a map of (r, g, b, 1)."""
    found = np.eye(4)
    found[:3, 3] = brightness
    found = np.diag([contrast] * 3 + [1]) @ found
    luma = np.zeros((4, 4))
    luma[:3, :3] = np.outer(AXIS, AXIS)
    if inverted:
        found = (np.eye(4) - 2 * luma) @ found
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turn = np.eye(4)
    # Rodrigues' formula
    turn[:3, :3] = (
        math.cos(hue) * np.eye(3)
        + math.sin(hue) * cross
        + (1 - math.cos(hue)) * np.outer(AXIS, AXIS)
    )
    saturate = luma + (np.eye(4) - luma) * saturation
    saturate[3] = [0, 0, 0, 1]
    return saturate @ turn @ found


@pytest.mark.parametrize("hue", [0.0, 1.0, -2.5])
@pytest.mark.parametrize("inverted", [False, True])
def test_colours_are_a_product_of_matrices(hue, inverted):
    images = torch.rand(1, 3, 4, 5).double() * 2 - 1
    brightness, contrast, saturation = 0.3, 1.7, 0.4
    colours = Colours(
        torch.tensor([brightness], dtype=torch.float64),
        torch.tensor([-contrast if inverted else contrast], dtype=torch.float64),
        torch.tensor([contrast * saturation], dtype=torch.float64),
        torch.tensor([hue], dtype=torch.float64),
        torch.tensor([True]),
    )
    full = matrix(brightness, contrast, inverted, hue, saturation)
    pixels = np.concatenate([images[0].numpy(), np.ones((1, 4, 5))])
    expected = np.einsum("ij,jhw->ihw", full, pixels)[:3]
    np.testing.assert_allclose(recolour(images, colours)[0].numpy(), expected, atol=1e-12)


def test_grey_images_stay_grey():
    """A grey image in three channels changes like the same image in one."""
    torch.manual_seed(3)
    drawn = draw_colours(torch.zeros(50, 3, 4, 4).double(), torch.tensor(1.0))
    images = torch.rand(50, 1, 4, 4).double()
    found = recolour(images.expand(-1, 3, -1, -1), drawn)
    torch.testing.assert_close(found, recolour(images, drawn).expand(-1, 3, -1, -1))


def test_the_drawn_numbers_have_the_distributions_of_the_paper():
    torch.manual_seed(0)
    drawn = draw_colours(torch.zeros(4000, 3, 1, 1).double(), torch.tensor(1.0))
    assert drawn.brightness.std().item() == pytest.approx(0.2, rel=0.06)
    assert drawn.luma.abs().log2().std().item() == pytest.approx(0.5, rel=0.06)
    saturation = (drawn.chroma / drawn.luma.abs()).log2()
    assert saturation.std().item() == pytest.approx(1, rel=0.06)
    assert (drawn.luma < 0).double().mean().item() == pytest.approx(0.5, abs=0.04)
    assert drawn.hue.abs().max().item() == pytest.approx(math.pi, rel=0.01)
    assert drawn.hue.std().item() == pytest.approx(math.pi / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_by_finite_differences(channels):
    torch.manual_seed(0)
    images = torch.rand(3, channels, 3, 3).double().requires_grad_()
    drawn = draw_colours(images.detach(), torch.tensor(1.0))
    assert torch.autograd.gradcheck(lambda x: recolour(x, drawn), (images,))
    assert torch.autograd.gradgradcheck(lambda x: recolour(x, drawn), (images,))
