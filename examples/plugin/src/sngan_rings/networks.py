"""Networks for points: SiLU in the generator, leaky ReLU in the critic, labels as unit vectors."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RingGenerator(nn.Module):
    """Map noise ``(N, latent_dim)`` to points ``(N, dim)``."""

    def __init__(self, latent_dim: int, dim: int, *, hidden: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.layers = nn.Sequential(
            nn.Linear(latent_dim + num_classes, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, dim),
        )

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return points; labels are given only if there are classes."""
        return self.layers(_with_labels(noise, labels, self.num_classes))


class RingCritic(nn.Module):
    """Map points ``(N, dim)`` to scores ``(N, 1)``."""

    def __init__(self, dim: int, *, hidden: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.layers = nn.Sequential(
            nn.Linear(dim + num_classes, hidden),
            nn.LeakyReLU(0.1),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.1),
            nn.Linear(hidden, 1),
        )

    def forward(self, points: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return scores; labels are given only if there are classes."""
        return self.layers(_with_labels(points, labels, self.num_classes))


def build(
    sample_shape: tuple[int, ...], *, latent_dim: int, width: float, num_classes: int
) -> tuple[nn.Module, nn.Module]:
    """Build both networks; sngan passes the settings of the group ``model`` that are named here."""
    (dim,) = sample_shape
    hidden = max(8, round(128 * width))
    return (
        RingGenerator(latent_dim, dim, hidden=hidden, num_classes=num_classes),
        RingCritic(dim, hidden=hidden, num_classes=num_classes),
    )


def _with_labels(vectors: Tensor, labels: Tensor | None, num_classes: int) -> Tensor:
    if labels is None:
        return vectors
    return torch.cat([vectors, F.one_hot(labels, num_classes).to(vectors.dtype)], dim=1)
