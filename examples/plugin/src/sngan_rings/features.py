"""Features for evaluations: the radius of a point, and its direction."""

import torch
from torch import Tensor


def radius(points: Tensor) -> Tensor:
    """Return features ``(N, 3)`` of points ``(N, 2)``."""
    radii = points.norm(dim=1, keepdim=True)
    return torch.cat([radii, points / radii.clamp(min=1e-6)], dim=1)
