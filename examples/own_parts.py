"""How do I train networks, a loss and data of my own?

Give networks and data as objects to `sngan.train`, and a loss by its name. Here a generator bends
noise by sines, the loss is a smooth hinge, and the data are points on two rings, which have labels.
Spectral normalization, records, the report and checkpoints work as for sngan's own parts. The
package `examples/plugin` registers such parts, so that the command line knows their names.

Run: python examples/own_parts.py  (about 15 s on two CPU cores)
"""

import sys
import tempfile
from math import pi
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn.functional import softplus

import sngan

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")


class Waves(nn.Module):
    """A generator with sines, which knows the ring that is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(2, 64), nn.Linear(64, 64), nn.Linear(64, 2)
        self.ring = nn.Embedding(2, 64)

    def forward(self, noise: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return points ``(N, 2)``."""
        hidden = torch.sin(self.first(noise) + self.ring(labels))
        return self.last(torch.sin(self.second(hidden)))


class Radius(nn.Module):
    """A critic that sees the place and the ring; spectral normalization finds its three layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(4, 64), nn.LeakyReLU(0.1)),
            *(nn.Linear(64, 64), nn.LeakyReLU(0.1), nn.Linear(64, 1)),
        )

    def forward(self, points: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return scores ``(N, 1)``."""
        return self.layers(torch.cat([points, nn.functional.one_hot(labels, 2)], dim=1))


def rings(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return points on circles of radius 1 and 2, and the number of the circle of each."""
    labels, angles = torch.arange(n) % 2, 2 * pi * torch.rand(n)
    radii = 1 + labels + 0.05 * torch.randn(n)
    return radii[:, None] * torch.stack([angles.cos(), angles.sin()], dim=1), labels


torch.manual_seed(0)
smooth_hinge = sngan.losses.LossPair(
    lambda real, fake: softplus(1 - real).mean() + softplus(1 + fake).mean(),
    lambda fake, _real=None: -fake.mean(),
    threshold=0.0,
)
config = sngan.Config(
    loss="__main__:smooth_hinge",  # MODULE:NAME; the module is this script
    steps=1200,
    latent_dim=2,
    conditional=True,
    out=tempfile.mkdtemp() + "/rings",
)
own = {"generator": Waves(), "critic": Radius(), "data": rings(4000)}
run = sngan.train(config, **own, allow_code=True)  # the loss is code that a name brings in

figure, axes = plt.subplots(figsize=(6, 6), layout="constrained")
for label, colour in enumerate(("#2563eb", "#ea580c")):
    points = run.generate(1000, seed=1, labels=label)
    axes.scatter(*points.T, s=3, color=colour, label=f"label {label}")
    near = ((points.norm(dim=1) - 1 - label).abs() < 0.15).float().mean()
    sectors = torch.histc(torch.atan2(points[:, 1], points[:, 0]), 8, -pi, pi) / len(points)
    print(
        f"label {label}: {near:.0%} of the points within 0.15 of radius {1 + label}, "
        f"at least {sectors.min():.0%} in each eighth of the circle"
    )
axes.set(aspect="equal", title="Two rings from own parts")
axes.legend()
plt.savefig(FOLDER / "own_parts.png", dpi=100)
