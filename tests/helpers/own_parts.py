"""Parts of a user's own, for tests: networks, and a module of parts as text."""

import torch
from torch import Tensor, nn

MODULE = """
from pathlib import Path
import torch
from torch import nn
import sngan

Path("imported.txt").write_text("this module was imported")

def build(shape, latent_dim):
    (dim,) = shape
    return (
        nn.Sequential(nn.Linear(latent_dim, 8), nn.ReLU(), nn.Linear(8, dim)),
        nn.Sequential(nn.Linear(dim, 8), nn.ReLU(), nn.Linear(8, 1)),
    )

loss = (lambda real, fake: (fake - real).mean(), lambda fake: -fake.mean())

def penalty(critic, real):
    return sngan.penalties.r1(critic, real)

def method():
    return sngan.Method(lr=1e-3, n_critic=2, spectral_norm="matrix")

def points():
    return torch.randn(300, 2, generator=torch.Generator().manual_seed(0))

def features(samples):
    return 2 * samples

class Stop(sngan.callbacks.Callback):
    def on_step(self, training, terms):
        if training.step == 2:
            training.stop("it is enough")
"""


class PointGenerator(nn.Module):
    """Labels are appended to the noise; none for an unconditional generator."""

    def __init__(self, classes: int = 0, *, latent_dim: int = 2, dim: int = 2) -> None:
        super().__init__()
        self.classes = classes
        self.net = nn.Sequential(nn.Linear(latent_dim + classes, 16), nn.ReLU(), nn.Linear(16, dim))

    def forward(self, z: Tensor, *given: Tensor) -> Tensor:
        assert len(given) == (self.classes > 0)
        return self.net(torch.cat([z, *(_unit(y, self.classes) for y in given)], 1))


class PointCritic(nn.Module):
    """Returns (N, 1), unlike sngan's own critics."""

    def __init__(self, classes: int = 0, *, dim: int = 2) -> None:
        super().__init__()
        self.classes = classes
        self.net = nn.Sequential(nn.Linear(dim + classes, 16), nn.LeakyReLU(), nn.Linear(16, 1))

    def forward(self, x: Tensor, *given: Tensor) -> Tensor:
        assert len(given) == (self.classes > 0)
        return self.net(torch.cat([x, *(_unit(y, self.classes) for y in given)], 1))


class ImageGenerator(nn.Module):
    """A generator of images that ends in tanh."""

    def __init__(self, shape: tuple[int, int, int], latent_dim: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.start = nn.Linear(latent_dim, 8 * (height // 2) * (width // 2))
        self.size = (8, height // 2, width // 2)
        self.up = nn.ConvTranspose2d(8, channels, 4, 2, 1)

    def forward(self, z: Tensor) -> Tensor:
        return self.up(self.start(z).view(-1, *self.size).relu()).tanh()


class ImageCritic(nn.Module):
    """A critic of images; scores are (N, 1)."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        channels, height, width = shape
        self.conv = nn.Conv2d(channels, 8, 4, 2, 1)
        self.end = nn.Linear(8 * (height // 2) * (width // 2), 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.end(nn.functional.leaky_relu(self.conv(x), 0.1).flatten(1))


def _unit(labels: Tensor, classes: int) -> Tensor:
    return nn.functional.one_hot(labels, classes).float()
