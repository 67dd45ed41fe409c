"""Geometry in augmentation: flips, quarter turns, shifts, scaling and rotation of each image.

The transformations of an image are one affine map. An image that is only mirrored, turned by
quarters and shifted by whole pixels is gathered pixel by pixel, so its values stay equal bit for
bit. The other images are resampled once.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sngan.augment.resampling import half_pixels, resampled
from sngan.distributed import collectives

_SHIFT, _SCALE = 0.125, 0.2
_GATES, _UNIFORM, _NORMAL = 8, 6, 4


class Geometry(NamedTuple):
    """The transformations of N images, which are done in the order of the fields.

    Attributes
    ----------
    mirrored
        Whether the image is mirrored left to right, bool ``(N,)``.
    turns
        Its quarter turns against the clock, int64 ``(N,)``, as in ``torch.rot90``.
    shift
        The whole pixels by which it moves down and right, int64 ``(N, 2)``.
    linear
        A linear map of (down, right) from its centre, ``(N, 2, 2)``.
    offset
        The pixels by which it then moves down and right, ``(N, 2)``.
    is_resampled
        Whether ``linear`` or ``offset`` changes it, bool ``(N,)``.
    """

    mirrored: Tensor
    turns: Tensor
    shift: Tensor
    linear: Tensor
    offset: Tensor
    is_resampled: Tensor


def draw_geometry(images: Tensor, p: Tensor) -> Geometry:
    """Draw the transformations of images ``(N, C, H, W)``; each is applied with probability p.

    The distributions are those of Karras et al. 2020, arXiv:2006.06676, appendix B: an even chance
    of a mirror image; an even chance of 0, 1, 2 or 3 quarter turns (of 0 or 2 if the image is no
    square); whole shifts that are uniform up to ⅛ of the side; scaling by ``2^(0.2 z)``; a rotation
    by a uniform angle; scaling of one axis by ``2^(0.2 z)`` and of the other by its inverse, along
    random axes; shifts by ``z/8`` of the side. z is standard normal.
    """
    n, _, height, width = images.shape
    options = {"dtype": images.dtype, "device": images.device}
    rand, randn = torch.rand, torch.randn
    drawn = collectives.draw_local_rows(rand, (n, _GATES + _UNIFORM), **options)
    gates, uniform = drawn[:, :_GATES], drawn[:, _GATES:]
    normal = collectives.draw_local_rows(randn, (n, _NORMAL), **options)
    # if each of the two rotations has this probability, one or both are applied with probability p
    each = 1 - (1 - p).sqrt()
    flip, turn, shift, scale, stretch, move = (gates[:, i] < p for i in range(6))
    before, after = gates[:, 6] < each, gates[:, 7] < each
    quarters, step = (4, 1) if height == width else (2, 2)
    sides = _pair(height, width, images)
    most = (sides * _SHIFT).round()
    whole = ((2 * most + 1) * uniform[:, 2:4]).floor() - most
    scaling = (_SCALE * normal[:, 0] * scale).exp2()
    stretching = (_SCALE * normal[:, 1] * stretch).exp2()
    angles = math.pi * (2 * uniform[:, 4:6] - 1)
    first, last = rotation(angles[:, 0] * before), rotation(angles[:, 1] * after)
    axes = torch.stack([scaling / stretching, scaling * stretching], dim=1)
    return Geometry(
        mirrored=flip & (uniform[:, 0] < 0.5),
        turns=(uniform[:, 1] * quarters).long() * step * turn,
        shift=whole.long() * shift[:, None],
        linear=last @ (axes[:, :, None] * first),
        offset=_SHIFT * sides * normal[:, 2:4] * move[:, None],
        is_resampled=scale | stretch | move | before | after,
    )


def transform(images: Tensor, geometry: Geometry) -> Tensor:
    """Transform images ``(N, C, H, W)``; each image is reflected at its edges."""
    gathered = _gathered(images, geometry)
    is_resampled = geometry.is_resampled[:, None, None, None]
    return torch.where(is_resampled, resampled(images, _places(images, geometry)), gathered)


def rotation(angles: Tensor) -> Tensor:
    """Return maps of (down, right) ``(N, 2, 2)`` that rotate against the clock, as images show it.

    Parameters
    ----------
    angles
        The angles ``(N,)`` in radians.
    """
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 2, 2)


def _gathered(images: Tensor, geometry: Geometry) -> Tensor:
    """Mirror, turn and shift the images, by the place of each pixel in the original."""
    n, channels, height, width = images.shape
    device = images.device
    down = torch.arange(height, device=device).view(1, -1, 1) - geometry.shift[:, 0, None, None]
    right = torch.arange(width, device=device).view(1, 1, -1) - geometry.shift[:, 1, None, None]
    # twice the distance from the centre is a whole number
    down, right = 2 * down - (height - 1), 2 * right - (width - 1)
    cos, sin, mirror = (one[:, None, None] for one in _quarter_turn(geometry))
    row, column = cos * down + sin * right, mirror * (cos * right - sin * down)
    row, column = (row + height - 1) // 2, (column + width - 1) // 2
    places = _reflected(row, height) * width + _reflected(column, width)
    index = places.view(n, 1, -1).expand(-1, channels, -1)
    return images.flatten(2).gather(2, index).view_as(images)


def _places(images: Tensor, geometry: Geometry) -> Tensor:
    """Return the place in the original of each point that resampling needs, from −1 to 1."""
    height, width = images.shape[2:]
    down, right = (half_pixels(side, images) - (side - 1) / 2 for side in (height, width))
    cos, sin, mirror = (one.to(images.dtype) for one in _quarter_turn(geometry))
    back = torch.stack([cos, sin, -mirror * sin, mirror * cos], dim=1).view(-1, 2, 2)
    # q = A(B⁻¹s + shift) + offset leads to s = BA⁻¹q − B(A⁻¹·offset + shift)
    inverse = _inverse(geometry.linear)
    moved = inverse @ geometry.offset[:, :, None] + geometry.shift[:, :, None].to(images.dtype)
    to_unit = 2 / _pair(height, width, images)[:, None]
    linear, constant = to_unit * (back @ inverse), to_unit * (back @ moved)
    # grid_sample takes the column first
    linear, constant = linear.flip(1), constant.flip(1)
    of_rows = down[:, None] * linear[:, None, :, 0] - constant.mT
    of_columns = right[:, None] * linear[:, None, :, 1]
    return of_rows[:, :, None] + of_columns[:, None]


def _quarter_turn(geometry: Geometry) -> tuple[Tensor, Tensor, Tensor]:
    """Return cosine and sine of the quarter turns, and −1 for mirrored images, else 1."""
    turns = geometry.turns
    cos = (turns == 0).long() - (turns == 2).long()
    sin = (turns == 1).long() - (turns == 3).long()
    return cos, sin, 1 - 2 * geometry.mirrored.long()


def _inverse(linear: Tensor) -> Tensor:
    """Invert maps ``(N, 2, 2)``; ``torch.linalg.inv`` would wait for the device."""
    a, b, c, d = linear.flatten(1).unbind(1)
    return torch.stack([d, -b, -c, a], dim=1).view(-1, 2, 2) / (a * d - b * c)[:, None, None]


def _reflected(places: Tensor, length: int) -> Tensor:
    """Reflect whole places at the edges of ``length`` pixels: −1 is 0, and −2 is 1."""
    places = places % (2 * length)
    return torch.minimum(places, 2 * length - 1 - places)


def _pair(height: float, width: float, like: Tensor) -> Tensor:
    """Return ``(height, width)`` on the device; ``torch.tensor`` would copy it from the host."""
    return torch.cat([like.new_full((1,), side) for side in (height, width)])
