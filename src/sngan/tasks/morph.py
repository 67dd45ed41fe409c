"""Morph: a moving picture, or a strip, on the way from seed to seed of a run."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sngan.runs.interpolation import draw_between, slerp
from sngan.runs.noise import noise_of_seeds, truncated
from sngan.runs.run import Run
from sngan.runs.sample_grid import enlarged, image_grid, to_uint8
from sngan.utils.checks import require, require_count
from sngan.utils.moving import require_moving, require_speed, save_moving
from sngan.utils.plotting import save_image

if TYPE_CHECKING:
    from PIL.Image import Image

FRAMES, FPS = 24, 12.0
"""The usual frames from one seed to the next, and frames a second."""

_STRIP = 9
_PIXELS = 256
_MOST_FRAMES = 10_000
_LARGEST = 4096
_BATCH = 64


def morph(
    run: Run,
    seeds: Sequence[int],
    out: Path,
    *,
    labels: Tensor | int | None = None,
    frames: int | None = None,
    fps: float = FPS,
    scale: int | None = None,
    truncation: float | None = None,
) -> int:
    """Draw the way from seed to seed, and write it; return the number of frames.

    The noise goes along great circles (:func:`sngan.runs.interpolation.slerp`). In a conditional
    run the embeddings of the classes are mixed on the way.

    Parameters
    ----------
    run
        A run on images.
    seeds
        At least two seeds.
    out
        ``FILE.gif`` or ``FILE.mp4`` returns to the first seed, so that it repeats without a jump.
        ``FILE.png`` has a row for each pair of seeds.
    labels
        Labels as for :meth:`Run.of_seeds`.
    frames
        Frames from one seed to the next; left out: 24, and 8 in a PNG.
    fps
        Frames a second.
    scale
        The side of the square that each pixel becomes; left out: about 256 pixels.
    truncation
        ψ of :func:`sngan.runs.noise.truncated`.

    Raises
    ------
    ValueError
        If the run is on points, there are fewer than two seeds, the ending is unknown, a number is
        out of range, or the labels do not fit.
    """
    ending = require_moving(out, more=(".png",))
    is_strip = ending == ".png"
    count = (_STRIP - 1 if is_strip else FRAMES) if frames is None else frames
    _check(run, seeds, count)
    require_speed(fps)
    if scale is not None:
        require_count(scale, "scale")
        side = scale * max(run.config.model.sample_shape or ())
        require(
            side <= _LARGEST, "scale", expected=f"frames of at most {_LARGEST} pixels", got=side
        )
    pairs = _pairs(len(seeds), closed=not is_strip)
    # a strip shows both ends of a pair, a film shows each seed once
    shares = torch.arange(count + is_strip) / count
    images = morph_images(run, seeds, pairs, shares, labels=labels, truncation=truncation)
    out.parent.mkdir(parents=True, exist_ok=True)
    if is_strip:
        save_image(image_grid(images, columns=len(shares), scale=scale), out)
    else:
        save_moving(pictures(images, scale=scale), out, fps=fps)
    return len(images)


def morph_images(
    run: Run,
    seeds: Sequence[int],
    pairs: Sequence[tuple[int, int]],
    shares: Tensor,
    *,
    labels: Tensor | int | None = None,
    truncation: float | None = None,
) -> Tensor:
    """Return uint8 images ``(len(pairs)·len(shares), C, H, W)`` between pairs of seeds.

    Parameters
    ----------
    run
        A run on images.
    seeds
        The seeds.
    pairs
        The places in ``seeds`` of each pair.
    shares
        How far the way to the second seed has been gone, from 0 to 1.
    labels, truncation
        As for :func:`morph`.
    """
    device = next(run.generator.parameters()).device
    classes = run.labels_of_seeds(seeds, labels)
    noise = torch.cat(list(noise_of_seeds(seeds, run.config.model.latent_dim)))
    noise = truncated(noise, truncation).to(device)
    first, second = (
        torch.tensor(ends).repeat_interleave(len(shares)) for ends in zip(*pairs, strict=True)
    )
    share = shares.repeat(len(pairs))
    images: list[Tensor] = []
    for part in torch.arange(len(share)).split(_BATCH):
        a, b, t = first[part], second[part], share[part].to(device)
        ends = None if classes is None else (classes[a].to(device), classes[b].to(device))
        with torch.no_grad():
            samples = draw_between(run.generator, slerp(noise[a], noise[b], t), ends, t)
        images.append(to_uint8(samples.cpu()))
    return torch.cat(images)


def pictures(images: Tensor, *, scale: int | None = None) -> "list[Image]":
    """Return uint8 images ``(n, C, H, W)`` as pictures, enlarged to about 256 pixels."""
    from PIL import Image

    larger = enlarged(images, scale or max(1, _PIXELS // max(images.shape[2:])))
    frames = larger.permute(0, 2, 3, 1).contiguous().numpy()
    return [Image.fromarray(one.squeeze(-1) if one.shape[-1] == 1 else one) for one in frames]


def _pairs(count: int, *, closed: bool) -> list[tuple[int, int]]:
    places = list(range(count))
    return list(pairwise([*places, 0] if closed else places))


def _check(run: Run, seeds: Sequence[int], frames: int) -> None:
    shape = run.config.model.sample_shape or ()
    expected = "a run on images (`sngan film` shows how points move in training)"
    require(len(shape) == 3, "run", expected=expected, got="a run on points")
    require(len(seeds) > 1, "seeds", expected="at least two seeds", got=len(seeds))
    require_count(frames, "frames")
    total = frames * len(seeds)
    require(total <= _MOST_FRAMES, "frames", expected=f"at most {_MOST_FRAMES:,} in all", got=total)
