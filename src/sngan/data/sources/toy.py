"""Toy data that needs no files: handwritten digits and three distributions in the plane."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sngan.data.dataset import Dataset
from sngan.data.types import Arrays, Content

POINTS = 50_000
_SEED = 20180216


@dataclass(frozen=True)
class Mixture:
    """Gaussians of equal weight and standard deviation ``std`` around ``centres`` ``(K, 2)``."""

    centres: Tensor
    std: float


def _ring(count: int, *, radius: float) -> Tensor:
    angle = torch.arange(count) * (2 * math.pi / count)
    return radius * torch.stack([angle.cos(), angle.sin()], dim=1)


def _grid(side: int, *, spacing: float) -> Tensor:
    ticks = spacing * (torch.arange(side) - (side - 1) / 2)
    return torch.cartesian_prod(ticks, ticks)


MIXTURES = {
    "ring8": Mixture(_ring(8, radius=0.8), std=0.008),
    "grid25": Mixture(_grid(5, spacing=0.4), std=0.01),
}
"""The mixtures by name.

``ring8`` is from Metz et al. 2016, arXiv:1611.02163, scaled from radius 2 to 0.8; ``grid25`` from
Srivastava et al. 2017, arXiv:1705.07761, scaled from spacing 2 to 0.4.

Examples
--------
>>> from sngan.data import MIXTURES
>>> MIXTURES["ring8"].centres.shape, MIXTURES["grid25"].std
(torch.Size([8, 2]), 0.01)
"""


def digits() -> Arrays:
    """Return 1,797 handwritten digits of 8×8 pixels (Alpaydin, Kaynak 1998) from scikit-learn."""
    from sklearn.datasets import load_digits

    loaded: Any = load_digits()
    grey = torch.from_numpy(loaded.images * (255 / 16)).round().to(torch.uint8)
    return Arrays(grey.unsqueeze(1), torch.from_numpy(loaded.target).long(), tuple("0123456789"))


def points(name: str) -> Dataset:
    """Draw 50,000 points of ``ring8``, ``grid25`` (labelled by component) or ``swissroll``."""
    made = _SAMPLERS[name](name, torch.Generator().manual_seed(_SEED))
    # fingerprint the name and not the values: their last digits differ between machines
    return replace(made, content=Content([name], [POINTS], None))


def _mixture(name: str, generator: torch.Generator) -> Dataset:
    mixture = MIXTURES[name]
    count = len(mixture.centres)
    labels = torch.randint(count, (POINTS,), generator=generator)
    noise = mixture.std * torch.randn(POINTS, 2, generator=generator)
    names = tuple(str(component) for component in range(count))
    return Dataset(name, mixture.centres[labels] + noise, labels, names)


def _swissroll(name: str, generator: torch.Generator) -> Dataset:
    """Draw ``t(cos t, sin t)/15`` for t uniform in [3π/2, 9π/2], plus noise of std 0.25/15.

    It is the roll of Gulrajani et al. 2017, arXiv:1704.00028, at another scale.
    """
    t = 1.5 * math.pi * (1 + 2 * torch.rand(POINTS, generator=generator))
    roll = torch.stack([t * t.cos(), t * t.sin()], dim=1)
    noise = 0.25 * torch.randn(POINTS, 2, generator=generator)
    return Dataset(name, (roll + noise) / 15)


_SAMPLERS: dict[str, Callable[[str, torch.Generator], Dataset]] = {
    "ring8": _mixture,
    "grid25": _mixture,
    "swissroll": _swissroll,
}
NAMES = ("digits", *_SAMPLERS)
