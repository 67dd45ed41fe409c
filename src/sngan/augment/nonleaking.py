"""Augmentation that does not leak: each transformation is applied with a probability below 1."""

from functools import partial

import torch
from torch import Tensor

from sngan.augment.checks import require_images
from sngan.augment.colours import draw_colours, recolour, with_changed_colours
from sngan.augment.geometry import draw_geometry, transform


def nonleaking(images: Tensor, p: Tensor | float) -> Tensor:
    """Apply 12 transformations to images, each with probability p; return the same shape.

    The transformations are mirror images, quarter turns, whole shifts, scaling, rotation,
    stretching and other shifts; brightness, contrast, inversion, hue and saturation. Source: Karras
    et al. 2020, arXiv:2006.06676. Below p = 0.8 the distribution of the augmented images determines
    that of the images, so a generator whose augmented images look like augmented data has learned
    the data. For example, the transformation "mirror image" mirrors half of the images that it is
    applied to, so less than half of all images are mirrored, and digits are learned as they are.

    An image without any transformation is returned bit for bit. Gradients pass to the images, not
    to p. There is no second derivative, because ``grid_sample`` has none: penalties on a critic's
    gradient are computed at augmented images.

    Parameters
    ----------
    images
        Images ``(N, C, H, W)`` in [−1, 1]; the result may exceed this range.
    p
        The probability. If it is a tensor, the host does not read it.

    Raises
    ------
    ValueError
        If the images are not a floating-point tensor ``(N, C, H, W)``.

    Examples
    --------
    >>> nonleaking(torch.zeros(2, 3, 8, 8), 0.5).shape
    torch.Size([2, 3, 8, 8])
    >>> images = torch.rand(2, 3, 8, 8)
    >>> torch.equal(nonleaking(images, 0.0), images)
    True
    """
    require_images(images)
    probability = p.detach() if isinstance(p, Tensor) else torch.full((), p, device=images.device)
    images = transform(images, draw_geometry(images, probability))
    colours = draw_colours(images, probability)
    return with_changed_colours(images, partial(recolour, colours=colours))
