"""A critic with every kind of layer, and checks of its weights."""

import torch
from torch import nn


class Critic(nn.Module):
    """Every supported kind of layer, nested; an embedding scores the label by projection."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.line = nn.Sequential(
            nn.Conv1d(2, width, 3, stride=2), nn.Tanh(), nn.ConvTranspose1d(width, 3, 3, groups=1)
        )
        self.plane = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Sequential(nn.Conv2d(width, 6, (4, 2), 2, groups=2), nn.Tanh()),
            nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2),
        )
        self.space = nn.ModuleDict(
            {"down": nn.Conv3d(1, width, 2), "up": nn.ConvTranspose3d(width, 2, 2)}
        )
        self.head = nn.Linear(width, 1)
        self.body = nn.Linear(12, width)
        self.label = nn.Embedding(5, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        line = self.line(x[:, :16].view(-1, 2, 8)).flatten(1)
        plane = self.plane(x[:, 16:80].view(-1, 1, 8, 8)).flatten(1)
        space = self.space["up"](torch.tanh(self.space["down"](x[:, 80:].view(-1, 1, 3, 4, 2))))
        parts = [line[:, :4], plane[:, :4], space.flatten(1)[:, :4]]
        hidden = torch.tanh(self.body(torch.cat(parts, 1)))
        labels = (x[:, 0].abs() * 3).long().clamp(max=4)
        return self.head(hidden).squeeze(1) + (self.label(labels) * hidden).sum(1)


NORMED = [
    "line.0",
    "line.2",
    "plane.0",
    "plane.2.0",
    "plane.3",
    "space.down",
    "space.up",
    "head",
    "body",
    "label",
]


def make_critic(seed: int = 0) -> Critic:
    torch.manual_seed(seed)
    return Critic().double()


def make_inputs(n: int, batch: int = 6) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(batch, 104, generator=generator, dtype=torch.float64) for _ in range(n)]


def dense_matrix(layer: nn.Module) -> torch.Tensor:
    weight = layer.weight.detach()
    if "Transpose" in type(layer).__name__:
        weight = weight.transpose(0, 1)
    return weight.flatten(1)


def assert_identical(left: object, right: object) -> None:
    torch.testing.assert_close(left, right, rtol=0, atol=0)


def top_singular_value(layer: nn.Module) -> float:
    return torch.linalg.svdvals(dense_matrix(layer))[0].item()
