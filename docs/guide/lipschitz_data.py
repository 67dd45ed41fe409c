"""Three functions on a line with brackets of their Lipschitz constants: sin and two critics."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sngan import SpectralNorm, lipschitz_bounds, losses

LINE = torch.linspace(-5, 5, 401, dtype=torch.float64)
MODES = torch.tensor([[-2.0], [2.0]] * 32)


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
    norm = SpectralNorm(critic, optimizer) if with_norm else None
    for _ in range(400):
        real, generated = torch.randn(2, 64, 1) / 2
        optimizer.zero_grad()
        losses.hinge.critic(critic(real + MODES), critic(generated)).backward()
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


def described(function: nn.Module) -> dict[str, Any]:
    """Return the graph and the bracket of the function's Lipschitz constant."""
    bounds = lipschitz_bounds(function.double(), (1,), slopes="sdp")
    return {
        "values": [round(value, 5) for value in values(function, LINE).tolist()],
        "lower": bounds.lower,
        "upper": bounds.upper,
        "product": bounds.product,
        "witness": float(bounds.witness),
    }


if __name__ == "__main__":
    functions = {
        "sin": Sine(),
        "free": trained_critic(with_norm=False),
        "spectral": trained_critic(with_norm=True),
    }
    shown = {key: described(function) for key, function in functions.items()}
    places = [("sin", 0.0, 1.0), ("sin", 1.5, 0.5), ("free", -1.0, 0.8), ("spectral", 2.0, 1.0)]
    checks = [
        {
            "move": {"lipschitz-function": key, "lipschitz-tip": tip, "lipschitz-share": share},
            "read": {
                "lipschitz-steepest": steepest(functions[key], tip),
                "lipschitz-cone": share * shown[key]["upper"],
            },
            "tolerance": 5e-3,
        }
        for key, tip, share in places
    ]
    data = {"line": [round(place, 3) for place in LINE.tolist()], "functions": shown}
    Path("lipschitz.json").write_text(json.dumps(data | {"checks": checks}))
