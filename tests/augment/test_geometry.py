"""Geometry of augmentation against torch.flip and rot90, NumPy's padding, SciPy, differences."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from sngan.augment.geometry import Geometry, draw_geometry, rotation, transform

TURNS = range(4)


def geometry(
    n: int = 1, *, mirrored=False, turns=0, shift=(0, 0), linear=None, offset=(0.0, 0.0), read=False
) -> Geometry:
    """The same transformation of each image; ``read`` resamples also where it could gather."""
    matrix = torch.eye(2).double() if linear is None else linear
    return Geometry(
        torch.full((n,), mirrored),
        torch.full((n,), turns),
        torch.tensor([shift] * n),
        matrix.expand(n, 2, 2),
        torch.tensor([offset] * n).double(),
        torch.full((n,), read or linear is not None or offset != (0.0, 0.0)),
    )


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)).double() * 2 - 1


def smooth(height: int, width: int) -> Tensor:
    """Waves of ten pixels and more, which no interpolation damages much."""
    down, right = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    waves = [(0.5 * down + 0.2 * right).sin(), (0.3 * down - 0.6 * right).cos()]
    return torch.stack(waves)[None].double()


@pytest.mark.parametrize("side", [8, 9])
@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("mirrored", [False, True])
def test_flips_and_quarter_turns_are_those_of_torch(side, turns, mirrored):
    images = noise(3, 2, side, side)
    flipped = images.flip(3) if mirrored else images
    found = transform(images, geometry(3, mirrored=mirrored, turns=turns))
    assert torch.equal(found, torch.rot90(flipped, turns, (2, 3)))


@pytest.mark.parametrize(("mirrored", "turns"), [(False, 2), (True, 0), (True, 2)])
def test_rectangles_keep_their_sides(mirrored, turns):
    images = noise(3, 1, 6, 10)
    flipped = images.flip(3) if mirrored else images
    found = transform(images, geometry(3, mirrored=mirrored, turns=turns))
    assert torch.equal(found, torch.rot90(flipped, turns, (2, 3)))


@pytest.mark.parametrize("shift", [(1, 0), (0, -2), (3, 2), (-8, 8), (9, -17)])
def test_whole_shifts_reveal_the_reflection(shift):
    images = noise(2, 2, 8, 8)
    wide = np.pad(images.numpy(), [(0, 0), (0, 0), (20, 20), (20, 20)], mode="symmetric")
    down, right = shift
    expected = wide[:, :, 20 - down : 28 - down, 20 - right : 28 - right]
    assert np.array_equal(transform(images, geometry(2, shift=shift)).numpy(), expected)


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("mirrored", [False, True])
def test_resampling_agrees_with_gathering(turns, mirrored):
    """The two ways of a transformation differ inside only by the filters of the resampling."""
    images = smooth(24, 24)
    settings = {"mirrored": mirrored, "turns": turns, "shift": (2, -1)}
    gathered = transform(images, geometry(**settings))
    read = transform(images, geometry(**settings, read=True))
    assert (gathered - read)[..., 5:-5, 5:-5].abs().max() < 5e-3
    # the reflection at an edge has a kink, which the filters round off
    assert (gathered - read).abs().max() < 0.1
    assert not torch.equal(gathered, read)


@pytest.mark.parametrize("angle", [0.0, 0.4, -2.0])
@pytest.mark.parametrize("scale", [(1.0, 1.0), (1.3, 0.9), (0.8, 1.25)])
@pytest.mark.parametrize("shape", [(24, 24), (20, 28)])
def test_affine_maps_are_those_of_scipy(angle, scale, shape):
    linear = torch.diag(torch.tensor(scale).double()) @ rotation(torch.tensor([angle]).double())[0]
    offset, images = (0.7, -1.3), smooth(*shape)
    found = transform(images, geometry(linear=linear[None], offset=offset))
    inverse = np.linalg.inv(linear.numpy())
    centre = (np.array(shape) - 1) / 2
    start = centre - inverse @ (centre + offset)
    for channel in range(2):
        expected = ndimage.affine_transform(
            images[0, channel].numpy(), inverse, offset=start, order=5, mode="reflect"
        )
        # places whose original lies inside, four pixels from the edges
        inside = ndimage.affine_transform(
            np.pad(np.ones(np.array(shape) - 8), 4), inverse, offset=start, order=0
        )
        error = np.abs(found[0, channel].numpy() - expected)
        assert error[inside == 1].max() < 0.02
        assert error.mean() < 0.02


def test_an_angle_turns_against_the_clock_like_a_quarter_turn():
    images = smooth(16, 16)
    quarter = rotation(torch.tensor([torch.pi / 2]).double())
    turned = transform(images, geometry(linear=quarter))
    assert (turned - torch.rot90(images, 1, (2, 3)))[..., 4:-4, 4:-4].abs().max() < 1e-2


def test_little_aliasing():
    """A board of single pixels that shrinks must turn grey, not into a pattern of its own."""
    board = (torch.arange(32).view(-1, 1) + torch.arange(32)).remainder(2).double() * 2 - 1
    half = torch.eye(2).double()[None] / 1.9
    small = transform(board[None, None], geometry(linear=half))[..., 8:-8, 8:-8]
    assert small.std() < 0.1
    # one point read for each pixel gives a pattern
    assert ndimage.zoom(board.numpy(), 1 / 1.9, order=1).std() > 0.3


def test_gradients_by_finite_differences():
    torch.manual_seed(0)
    images = noise(5, 1, 4, 5).requires_grad_()
    drawn = draw_geometry(images.detach(), torch.tensor(0.9))
    assert drawn.is_resampled.any()
    assert torch.autograd.gradcheck(lambda x: transform(x, drawn), (images,))


def test_the_drawn_map_is_a_product_of_rotations_and_scales():
    torch.manual_seed(0)
    drawn = draw_geometry(torch.zeros(4000, 1, 16, 16).double(), torch.tensor(1.0))
    values = torch.linalg.svdvals(drawn.linear)
    # isotropic and anisotropic scales are independent, each 2^(0.2 z)
    isotropic = values.log2().mean(1) / 0.2
    anisotropic = (values[:, 0] / values[:, 1]).log2() / 0.4
    assert isotropic.mean().item() == pytest.approx(0, abs=0.08)
    assert isotropic.std().item() == pytest.approx(1, abs=0.06)
    # the larger singular value comes first, so this is |z|
    assert anisotropic.square().mean().sqrt().item() == pytest.approx(1, abs=0.06)
    assert drawn.offset.std().item() == pytest.approx(2, abs=0.1)
    assert set(drawn.shift.flatten().tolist()) == {-2, -1, 0, 1, 2}
    assert set(drawn.turns.tolist()) == {0, 1, 2, 3}
    wide = draw_geometry(torch.zeros(4000, 1, 16, 24), torch.tensor(1.0))
    assert set(wide.turns.tolist()) == {0, 2}
    assert set(wide.shift[:, 1].tolist()) == set(range(-3, 4))
