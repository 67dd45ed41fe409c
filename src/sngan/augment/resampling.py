"""Resampling of images at arbitrary places, with little aliasing and little blur.

The image is enlarged to twice its side, read at twice the density of its pixels by one bilinear
``grid_sample``, and reduced to its side. Both filters are matrices. Karras et al. 2020 do the same
with wavelet filters.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

# the filters are windowed sincs that end at this number of pixels from their centre
_REACH = 2
# the reducing filter reads this number of half pixels outside of the image on each side
_MARGIN = 2 * _REACH - 1


def half_pixels(length: int, like: Tensor) -> Tensor:
    """Return the places, in pixels, at which :func:`resampled` reads a side of this length."""
    halves = torch.arange(-_MARGIN, 2 * length + _MARGIN, device=like.device, dtype=like.dtype)
    return (halves + 0.5) / 2 - 0.5


def resampled(images: Tensor, places: Tensor) -> Tensor:
    """Read images at places, and return images of the same shape.

    Parameters
    ----------
    images
        The images ``(N, C, H, W)``. Each image is reflected at its edges.
    places
        A grid ``(N, H', W', 2)`` as for ``grid_sample``, with (column, row) from −1 to 1 over the
        whole image. Its points belong to the places of :func:`half_pixels` in the result.
    """
    height, width = images.shape[2:]
    kind = images.dtype, images.device
    large = _enlarging(height, *kind) @ images @ _enlarging(width, *kind).mT
    read = F.grid_sample(
        large, places, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return _reducing(height, *kind) @ read @ _reducing(width, *kind).mT


@lru_cache(maxsize=64)
def _enlarging(length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix ``(2·length, length)`` of interpolation at half pixels."""
    taps = torch.arange(-_REACH, length + _REACH)
    weights = _sinc((torch.arange(2 * length) + 0.5) / 2 - 0.5, taps)
    taps = taps % (2 * length)
    inside = torch.minimum(taps, 2 * length - 1 - taps)
    matrix = torch.zeros(2 * length, length, dtype=weights.dtype).index_add_(1, inside, weights)
    return _kept(matrix, dtype, device)


@lru_cache(maxsize=64)
def _reducing(length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix ``(length, 2·length + 2·margin)`` that averages half pixels."""
    halves = half_pixels(length, torch.empty(0, dtype=torch.float64))
    return _kept(_sinc(torch.arange(length), halves), dtype, device)


def _sinc(outputs: Tensor, inputs: Tensor) -> Tensor:
    """Return Lanczos weights of inputs for each output, with the sum 1."""
    distance = outputs.double()[:, None] - inputs.double()
    window = torch.sinc(distance / _REACH) * (distance.abs() < _REACH)
    weights = torch.sinc(distance) * window
    return weights / weights.sum(1, keepdim=True)


def _kept(matrix: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    # a tensor that is made in inference mode could not be used in training later
    with torch.inference_mode(False):
        return matrix.clone().to(dtype).to(device)
