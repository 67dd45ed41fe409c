"""Three functions on a line with brackets of their Lipschitz constants: sin and two critics."""

import json
from pathlib import Path

import torch
from torch import Tensor, nn

import sngan

LINE = torch.linspace(-5, 5, 401, dtype=torch.float64)
MODES = torch.tensor([-2.0, 2.0]).repeat(32)[:, None]


class Sine(nn.Module):
    """The function sin, as a module."""

    def forward(self, points: Tensor) -> Tensor:
        """Return sin of each point."""
        return torch.sin(points)


def trained_critic(*, with_norm: bool) -> nn.Module:
    """Train a critic of real data around -2 and 2 against generated data around 0."""
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.02)
    norm = sngan.SpectralNorm(critic, optimizer) if with_norm else None
    for _ in range(400):
        real, generated = torch.randn(2, 64, 1) / 2
        optimizer.zero_grad()
        sngan.losses.hinge.critic(critic(real + MODES), critic(generated)).backward()
        optimizer.step()
    if norm is not None:
        norm.remove()
    return critic.double()


@torch.no_grad()
def values(function: nn.Module, points: Tensor) -> Tensor:
    """Return the function at points of shape (n,)."""
    return function(points[:, None])[:, 0]


def steepest(function: nn.Module, tip: float) -> float:
    """Return the largest slope of a straight line from the tip to another point of the graph."""
    fine = torch.linspace(-5, 5, 20001, dtype=torch.float64)
    apart = (fine - tip).abs()
    start = values(function, torch.tensor([tip], dtype=torch.float64))
    return float(((values(function, fine) - start).abs() / apart)[apart > 1e-6].max())


def described(name: str, function: nn.Module) -> dict[str, object]:
    """Return the graph and the bracket of the function's Lipschitz constant."""
    bounds = sngan.lipschitz_bounds(function.double(), (1,), slopes="sdp")
    return {
        "name": name,
        "values": [round(value, 5) for value in values(function, LINE).tolist()],
        "lower": bounds.lower,
        "upper": bounds.upper,
        "product": bounds.product,
        "witness": float(bounds.witness),
    }


def check(key: str, function: nn.Module, tip: float, share: float) -> dict[str, object]:
    """Return what the page shows for a cone at a tip."""
    upper = sngan.lipschitz_bounds(function, (1,), slopes="sdp", lower=False).upper
    return {
        "move": {"lipschitz-function": key, "lipschitz-tip": tip, "lipschitz-share": share},
        "read": {"lipschitz-steepest": steepest(function, tip), "lipschitz-cone": share * upper},
        "tolerance": 5e-3,
    }


if __name__ == "__main__":
    functions = {
        "sin": ("sin", Sine()),
        "free": ("a critic without a rule", trained_critic(with_norm=False)),
        "spectral": ("a critic with spectral normalization", trained_critic(with_norm=True)),
    }
    data = {
        "line": [round(place, 3) for place in LINE.tolist()],
        "functions": {key: described(*entry) for key, entry in functions.items()},
        "checks": [
            check("sin", functions["sin"][1], 0.0, 1.0),
            check("sin", functions["sin"][1], 1.5, 0.5),
            check("free", functions["free"][1], -1.0, 0.8),
            check("spectral", functions["spectral"][1], 2.0, 1.0),
        ],
    }
    Path("lipschitz.json").write_text(json.dumps(data))
