"""Pretext task of images without labels: how an image was turned, and how it was damaged."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

TURNS = 4


class Pretext(NamedTuple):
    """Changed images ``(n, C, H, W)``, and what was done to each: quarter turns, and the damage."""

    images: Tensor
    turns: Tensor
    damages: Tensor


def draw(images: Tensor) -> Pretext:
    """Turn each image by 0 to 3 quarter turns and damage it in one of the ways of ``DAMAGES``.

    The random numbers come from torch's global generator. A network that tells the turns has to
    know what is shown (Gidaris et al. 2018, arXiv:1803.07728), but it may ignore noise, blur and
    wrong colours. To tell the damages it has to see these too.
    """
    turns = torch.randint(TURNS, (len(images),))
    damages = torch.randint(len(DAMAGES), (len(images),))
    changed = torch.empty_like(images)
    for turn in range(TURNS):
        chosen = turns == turn
        changed[chosen] = images[chosen].rot90(turn, (2, 3))
    for index, damage in enumerate(DAMAGES):
        chosen = damages == index
        if bool(chosen.any()):
            changed[chosen] = damage(changed[chosen])
    return Pretext(changed.clamp(-1, 1), turns, damages)


def loss(logits: Tensor, task: Pretext) -> Tensor:
    """The cross-entropy of the turns and of the damages, from logits ``(n, CLASSES)``."""
    of_turns, of_damages = logits.split([TURNS, len(DAMAGES)], dim=1)
    return F.cross_entropy(of_turns, task.turns) + F.cross_entropy(of_damages, task.damages)


def accuracy(logits: Tensor, task: Pretext) -> Tensor:
    """The share of images whose damage is told rightly."""
    return (logits[:, TURNS:].argmax(1) == task.damages).double().mean()


def _nothing(images: Tensor) -> Tensor:
    return images


def _noise(images: Tensor) -> Tensor:
    return images + _strengths(images, 0.03, 0.4) * torch.randn_like(images)


def _blur(images: Tensor) -> Tensor:
    """Mix with a local mean, so that blur of any strength occurs."""
    smooth = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return torch.lerp(images, smooth, _strengths(images, 0.4, 1.0))


def _few_pixels(images: Tensor) -> Tensor:
    """Keep a quarter of the pixels of each side, interpolated: what blobs look like."""
    height, width = (max(2, side // 4) for side in images.shape[2:])
    few = F.adaptive_avg_pool2d(images, (height, width))
    return F.interpolate(few, images.shape[2:], mode="bilinear")


def _shuffled(images: Tensor) -> Tensor:
    """Exchange the quarters of each image at random: right parts in a wrong order."""
    down, across = (side // 2 for side in images.shape[2:])
    rolled = [images.roll(shifts, (2, 3)) for shifts in ((down, 0), (0, across), (down, across))]
    which = torch.randint(3, (len(images),))
    return torch.stack(rolled)[which, torch.arange(len(images))]


def _mixed(images: Tensor) -> Tensor:
    """The mean of two images."""
    return torch.lerp(images, images.roll(1, 0), _strengths(images, 0.3, 0.5))


def _colours(images: Tensor) -> Tensor:
    """Change the contrast and the brightness of each channel."""
    n, channels = images.shape[:2]
    gain = 0.5 + torch.rand(n, channels, 1, 1)
    return gain * images + 0.8 * (torch.rand(n, channels, 1, 1) - 0.5)


def _strengths(images: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(len(images), 1, 1, 1)


DAMAGES: tuple[Callable[[Tensor], Tensor], ...] = (
    _nothing, _noise, _blur, _few_pixels, _shuffled, _mixed, _colours,
)  # fmt: skip
CLASSES = TURNS + len(DAMAGES)
