"""Augmentation of images with opacity, and of rectangles."""

import pytest
import torch

from sngan.augment import AUGMENTATIONS, augment, nonleaking


def images(channels: int, *size: int) -> torch.Tensor:
    return torch.rand(64, channels, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_colours_change_and_opacity_does_not():
    given = images(4, 8, 8)
    torch.manual_seed(1)
    changed = augment(given, ["color"])
    assert torch.equal(changed[:, 3], given[:, 3])
    torch.manual_seed(1)
    assert torch.equal(changed[:, :3], augment(given[:, :3], ["color"]))


@pytest.mark.parametrize("size", [(8, 8), (8, 24)])
def test_ada_does_to_the_colours_what_it_does_without_opacity(size):
    """The opacity moves with the pixels: one that equals a colour's place stays a copy of it."""
    colours = images(3, *size)
    torch.manual_seed(1)
    three = nonleaking(colours, 0.7)
    torch.manual_seed(1)
    four = nonleaking(torch.cat([colours, torch.ones(64, 1, *size)], 1), 0.7)
    torch.testing.assert_close(four[:, :3], three, rtol=0, atol=1e-5)
    # an opaque image stays opaque, because images are reflected at their edges
    torch.testing.assert_close(four[:, 3], torch.ones(64, *size), rtol=0, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(8, 24), (24, 8), (10, 16)])
def test_rectangles_keep_their_shape(channels, size):
    given = images(channels, *size)
    for name in AUGMENTATIONS:
        assert augment(given, [name]).shape == given.shape
    for p in (0.2, 1.0):
        assert nonleaking(given, p).shape == given.shape


@pytest.mark.parametrize("size", [(8, 24), (24, 8)])
def test_the_cut_out_rectangle_has_the_shape_of_the_image(size):
    """At most half of each side, and exactly that if it lies inside."""
    cut = augment(torch.ones(512, 1, *size), ["cutout"])[:, 0] == 0
    rows, columns = cut.any(2).sum(1), cut.any(1).sum(1)
    assert (rows.max().item(), columns.max().item()) == (size[0] // 2, size[1] // 2)
    assert torch.equal(cut.sum((1, 2)), rows * columns)
