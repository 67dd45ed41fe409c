"""Power iterations of 2×2 matrices, and the error of σ along a training run, from the library."""

import json
import math
import statistics
from pathlib import Path

import torch
from torch import nn

from sngan import SpectralNorm, losses
from sngan.spectral.power_iteration import power_iteration

STEPS = 12
RATIOS = (0.2, 0.5, 0.8, 0.9, 0.97)
LEFT, RIGHT = 0.4, 1.0  # angles of the top singular directions, in radians
START = 1.35  # the first vector's angle from the top left direction


def turned(angle):
    """Return the rotation by an angle."""
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, -s], [s, c]], dtype=torch.float64)


def iterated(ratio):
    """Return the vectors and the errors of σ = 1 over the iterations, for this σ2/σ1."""
    matrix = (
        turned(LEFT) @ torch.diag(torch.tensor([1, ratio], dtype=torch.float64)) @ turned(-RIGHT)
    )
    first = turned(LEFT + START) @ torch.tensor([1, 0], dtype=torch.float64)
    u, rows = first, [[*first.tolist(), (matrix.T @ first).norm().item()]]
    for _ in range(STEPS):
        sigma, u, _ = power_iteration(matrix, u)
        rows.append([*u.tolist(), sigma.item()])
    exact = torch.linalg.svdvals(matrix)[0].item()
    return {
        "matrix": [round(v, 4) for v in matrix.flatten().tolist()],
        "u": [[round(x, 5), round(y, 5)] for x, y, _ in rows],
        "sigma": [round(sigma, 8) for *_, sigma in rows],
        "error": [float(f"{max(1 - sigma / exact, 1e-16):.4g}") for *_, sigma in rows],
    }


def training_run(iterations, rate, *, updates):
    """Return the relative errors of σ of the middle layer, and the ratio σ2/σ1, over a run."""
    torch.manual_seed(0)
    critic = nn.Sequential(
        nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
    )
    optimizer = torch.optim.Adam(critic.parameters(), lr=rate, betas=(0.0, 0.9))
    norm = SpectralNorm(critic, optimizer, iterations=iterations)
    errors, cold, ratios = [], [], []
    for _ in range(updates):
        real, fake = torch.randn(64, 2) + 1, torch.randn(64, 2) - 1
        optimizer.zero_grad()
        losses.hinge.critic(critic(real), critic(fake)).backward()
        optimizer.step()
        first, second = norm.singular_values()["2"][:2].tolist()
        errors.append(abs(first - 1))
        weight = critic[2].weight.detach()
        cold.append(1 - power_iteration(weight, torch.randn(64))[0].item() / first)
        ratios.append(second / first)
    return errors, cold, ratios


def summary(errors):
    """Return the middle and the largest error of a run, and of its last quarter."""
    last = errors[-len(errors) // 4 :]
    return {
        "updates": len(errors),
        "middle": statistics.median(errors),
        "worst": max(errors),
        "last_middle": statistics.median(last),
        "last_worst": max(last),
    }


def main():
    """Compute all numbers and write them."""
    matrices = {str(ratio): iterated(ratio) for ratio in RATIOS}
    # the rate of the paper, and a rate ten times as high
    warm, cold, ratios = training_run(1, 2e-4, updates=1600)
    fast, _, _ = training_run(1, 2e-3, updates=400)
    twice, _, _ = training_run(2, 2e-3, updates=400)
    checks = [
        {
            "move": {"power_iteration-ratio": str(ratio), "power_iteration-step": step},
            "read": {"power_iteration-sigma": matrices[str(ratio)]["sigma"][step]},
            "tolerance": 1e-5,
        }
        for ratio, step in ((0.2, 0), (0.5, 3), (0.9, 12), (0.97, 6))
    ]
    Path("power_iteration.json").write_text(
        json.dumps(
            {
                "steps": STEPS,
                "top": [round(math.cos(LEFT), 5), round(math.sin(LEFT), 5)],
                "matrices": matrices,
                "half": matrices["0.5"]["error"],
                "slow": matrices["0.97"]["error"],
                "near": matrices["0.9"]["sigma"],
                "run": {
                    "warm": summary(warm),
                    "cold": summary(cold),
                    "fast": summary(fast),
                    "twice": summary(twice),
                    "first_ratio": ratios[0],
                    "last_ratio": ratios[-1],
                },
                "checks": checks,
            }
        )
    )


if __name__ == "__main__":
    main()
