"""Colours in augmentation: brightness, contrast, inversion, hue and saturation of each image."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sngan.distributed import collectives

_BRIGHTNESS, _CONTRAST, _SATURATION = 0.2, 0.5, 1.0
_GATES, _UNIFORM, _NORMAL = 5, 2, 3


class Colours(NamedTuple):
    """The changes of N images; each field has one number for each image, ``(N,)``.

    Attributes
    ----------
    brightness
        The number that is added to all values.
    luma
        The factor of luma, which is the mean over the channels: the contrast, negative if the
        image is inverted.
    chroma
        The factor of chroma, which is the difference from luma: contrast times saturation.
    hue
        The angle by which chroma is rotated around the axis of grey.
    is_changed
        Whether anything changes, bool.
    """

    brightness: Tensor
    luma: Tensor
    chroma: Tensor
    hue: Tensor
    is_changed: Tensor


def draw_colours(images: Tensor, p: Tensor) -> Colours:
    """Draw the changes of images ``(N, C, H, W)``; each is applied with probability p.

    The distributions are those of Karras et al. 2020, arXiv:2006.06676, appendix B: brightness
    ``0.2 z``; contrast ``2^(z/2)``; an even chance of inverted luma; a hue rotated by a uniform
    angle; saturation ``2^z``. z is standard normal. Hue and saturation leave grey images alone.
    """
    options = {"dtype": images.dtype, "device": images.device}
    size = len(images)
    drawn = collectives.draw_local_rows(torch.rand, (size, _GATES + _UNIFORM), **options)
    normal = collectives.draw_local_rows(torch.randn, (size, _NORMAL), **options)
    gates, uniform = drawn[:, :_GATES] < p, drawn[:, _GATES:]
    bright, contrast, invert, turn, saturate = gates.unbind(1)
    inverted = invert & (uniform[:, 0] < 0.5)
    scale = (_CONTRAST * normal[:, 1] * contrast).exp2()
    is_changed = bright | contrast | inverted
    if images.shape[1] > 1:
        is_changed = is_changed | turn | saturate
    return Colours(
        brightness=_BRIGHTNESS * normal[:, 0] * bright,
        luma=torch.where(inverted, -scale, scale),
        chroma=scale * (_SATURATION * normal[:, 2] * saturate).exp2(),
        hue=math.pi * (2 * uniform[:, 1] - 1) * turn,
        is_changed=is_changed,
    )


def recolour(images: Tensor, colours: Colours) -> Tensor:
    """Change the colours of images ``(N, C, H, W)``; the result may exceed [−1, 1].

    With luma m, ``x`` becomes ``luma·(m + brightness) + chroma·R(x − m)``, where R is the rotation
    around the axis of grey. The five changes are linear maps that commute with R, so this formula
    is their product.
    """
    brightness, luma, chroma, hue, is_changed = (one.view(-1, 1, 1, 1) for one in colours)
    mean = images.mean(1, keepdim=True)
    changed = luma * (mean + brightness)
    if images.shape[1] > 1:
        rest = images - mean
        turned = rest * hue.cos()
        if images.shape[1] == 3:
            # the cross product with (1, 1, 1)/√3
            across = (rest.roll(1, dims=1) - rest.roll(-1, dims=1)) / math.sqrt(3)
            turned = turned + across * hue.sin()
        changed = changed + chroma * turned
    return torch.where(is_changed, changed, images)


def with_changed_colours(images: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Change the first three channels of images of four; the fourth, the opacity, is no colour."""
    if images.shape[1] != 4:
        return change(images)
    return torch.cat([change(images[:, :3]), images[:, 3:]], dim=1)
