"""Augmentations of Zhao et al. 2020, arXiv:2006.10738: each changes every image."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from sngan.augment.checks import require_images
from sngan.augment.colours import with_changed_colours
from sngan.distributed import collectives


def color(images: Tensor) -> Tensor:
    """Shift the brightness by U(−½, ½), scale saturation by U(0, 2) and contrast by U(½, 3/2).

    Saturation is the difference of a pixel from its mean over the channels. Contrast is the
    difference of the image from its mean over all values. A grey image has no saturation, and
    opacity is no colour. The result may exceed [−1, 1].

    Raises
    ------
    ValueError
        If the images are not a floating-point tensor ``(N, C, H, W)``.

    Examples
    --------
    A grey image stays grey; only its brightness changes.

    >>> from sngan.augment import color
    >>> changed = color(torch.zeros(2, 3, 8, 8))
    >>> bool(changed.std(dim=(1, 2, 3)).max() < 1e-6), bool(changed.abs().max() <= 0.5)
    (True, True)
    """
    require_images(images)
    return with_changed_colours(images, _recoloured)


def _recoloured(images: Tensor) -> Tensor:
    images = images + _uniform(images) - 0.5
    if images.shape[1] > 1:
        images = torch.lerp(images.mean(1, keepdim=True), images, 2 * _uniform(images))
    mean = images.mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, _uniform(images) + 0.5)


def translation(images: Tensor, *, ratio: float = 0.125) -> Tensor:
    """Shift by whole pixels, at most ``ratio`` of the height and width; fill the gap with 0.

    Raises
    ------
    ValueError
        If the images are not a floating-point tensor ``(N, C, H, W)``.

    Examples
    --------
    >>> from sngan.augment import translation
    >>> moved = translation(torch.ones(1, 1, 8, 8))  # by one pixel at most
    >>> moved[0, 0, 1:7, 1:7].min()
    tensor(1.)
    """
    require_images(images)
    for dim in (2, 3):
        images = _shifted(images, dim, most=int(images.shape[dim] * ratio + 0.5))
    return images


def cutout(images: Tensor, *, ratio: float = 0.5) -> Tensor:
    """Set a rectangle around a random pixel to 0; its sides are ``ratio`` times the image's.

    Raises
    ------
    ValueError
        If the images are not a floating-point tensor ``(N, C, H, W)``.

    Examples
    --------
    >>> from sngan.augment import cutout
    >>> filled = cutout(torch.ones(1, 1, 8, 8)).mean()  # a quarter is cut out, or less at the edge
    >>> bool(0.75 <= filled < 1)
    True
    """
    require_images(images)
    rows, columns = (_band(images, dim, ratio=ratio) for dim in (2, 3))
    return images.masked_fill(rows & columns, 0.0)


AUGMENTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "color": color,
    "translation": translation,
    "cutout": cutout,
}
"""The augmentations by name, each a function from images ``(N, C, H, W)`` to images of this shape.

They are those of Zhao et al. 2020, arXiv:2006.10738, and the words of ``--augment``.

Examples
--------
>>> from sngan.augment import AUGMENTATIONS
>>> list(AUGMENTATIONS)
['color', 'translation', 'cutout']
"""


def augment(images: Tensor, names: Sequence[str]) -> Tensor:
    """Apply the named augmentations in order; without names, return ``images``.

    Raises
    ------
    ValueError
        If the images are not a floating-point tensor ``(N, C, H, W)``.

    Examples
    --------
    >>> augment(torch.zeros(2, 3, 8, 8), ["color", "translation", "cutout"]).shape
    torch.Size([2, 3, 8, 8])
    """
    for name in names:
        images = AUGMENTATIONS[name](images)
    return images


def _uniform(images: Tensor) -> Tensor:
    size = (len(images), 1, 1, 1)
    return collectives.draw_local_rows(torch.rand, size, dtype=images.dtype, device=images.device)


def _integers(images: Tensor, low: int, high: int) -> Tensor:
    size = (len(images), 1, 1, 1)
    return collectives.draw_local_rows(
        partial(torch.randint, low, high), size, device=images.device
    )


def _shifted(images: Tensor, dim: int, *, most: int) -> Tensor:
    shift = _integers(images, -most, most + 1)
    places = _positions(images, dim) - shift
    length = images.shape[dim]
    inside = (places >= 0) & (places < length)
    moved = images.gather(dim, places.clamp(0, length - 1).expand_as(images))
    return moved * inside


def _band(images: Tensor, dim: int, *, ratio: float) -> Tensor:
    """Return a mask of the rows (or columns) that a rectangle around a random pixel covers."""
    length = images.shape[dim]
    size = int(length * ratio + 0.5)
    # as in the paper's code, up to half of the rectangle may lie outside the image
    centre = _integers(images, 0, length + 1 - size % 2)
    offset = _positions(images, dim) - (centre - size // 2)
    return (offset >= 0) & (offset < size)


def _positions(images: Tensor, dim: int) -> Tensor:
    shape = [-1 if axis == dim else 1 for axis in range(4)]
    return torch.arange(images.shape[dim], device=images.device).view(shape)
