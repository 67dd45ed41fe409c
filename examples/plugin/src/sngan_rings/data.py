"""Data: points on two circles, with the circle as label."""

import math

import torch
from torch import Tensor


def two_rings(split: str = "train") -> tuple[Tensor, Tensor]:
    """Return 4,000 points float32 ``(N, 2)``, and the number of the ring of each."""
    random = torch.Generator().manual_seed(0 if split == "train" else 1)
    labels = torch.arange(4000) % 2
    angles = 2 * math.pi * torch.rand(4000, generator=random)
    radii = 1.0 + labels + 0.05 * torch.randn(4000, generator=random)
    return radii[:, None] * torch.stack([angles.cos(), angles.sin()], dim=1), labels
