"""Preprocessing of images for DINOv2 and CLIP, as published with their metrics and weights."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Normalization(NamedTuple):
    """The mean and the deviation of each colour, in units of pixels from 0 to 1."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = Normalization((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


def for_dinov2(images: Tensor, side: int) -> Tensor:
    """Resize images to a square and normalize them by the statistics of ImageNet.

    The image is stretched to ``side × side``, so that nothing of it is lost.

    Source: ``dgm_eval/models/dinov2.py`` of Stein et al. 2023, arXiv:2306.04675, which introduced
    the Fréchet distance on DINOv2: ``Resize((224, 224), BICUBIC)`` and this normalization.
    """
    return _normalized(resized(_in_colour(images), side, side), IMAGENET)


def for_clip(images: Tensor, side: int) -> Tensor:
    """Resize the shorter side, cut out the centre, and normalize by the statistics of CLIP.

    Source: ``_transform`` in ``clip/clip.py`` of Radford et al. 2021, arXiv:2103.00020:
    ``Resize(side, BICUBIC)``, ``CenterCrop(side)`` and this normalization.
    """
    rows, columns = images.shape[2:]
    short = min(rows, columns)
    height, width = side * rows // short, side * columns // short
    found = resized(_in_colour(images), height, width)
    top, left = round((height - side) / 2), round((width - side) / 2)
    return _normalized(found[..., top : top + side, left : left + side], CLIP)


def resized(images: Tensor, rows: int, columns: int) -> Tensor:
    """Resize images in [−1, 1] as Pillow resizes 8 bits: bicubic (a = −½), antialiased, rounded.

    Parameters
    ----------
    images
        ``(n, 3, h, w)`` in [−1, 1].
    rows, columns
        The new size.

    Returns
    -------
    Tensor
        ``(n, 3, rows, columns)``, whole numbers from 0 to 255.
    """
    levels = ((images + 1) * 127.5).round()
    # Pillow resized rows after columns when these metrics were published, with 8 bits in between
    for size in ((images.shape[2], columns), (rows, columns)):
        if levels.shape[2:] != size:
            levels = F.interpolate(levels, size, mode="bicubic", antialias=True)
            levels = levels.round().clamp(0, 255)
    return levels


def _in_colour(images: Tensor) -> Tensor:
    return images.expand(-1, 3, -1, -1)


def _normalized(levels: Tensor, by: Normalization) -> Tensor:
    mean, deviation = (torch.tensor(part, device=levels.device)[:, None, None] for part in by)
    return (levels / 255 - mean) / deviation
