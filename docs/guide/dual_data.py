"""The cheapest plan of six boxes, and a 1-Lipschitz critic that learns the best prices."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

import sngan
from sngan.lipschitz import blocks
from sngan.transport import critic_bound, dual_linear_program

BOXES, MASSES_X = np.array([2.0, 5.0, 8.0]), np.array([3, 2, 1])
GOALS, MASSES_Y = np.array([1.0, 4.0, 6.0, 9.0]), np.array([1, 2, 1, 2])
TOTAL = 6
WEIGHTS = {"weights_x": MASSES_X / TOTAL, "weights_y": MASSES_Y / TOTAL}
LINE = torch.linspace(0, 10, 41)[:, None]
X, Y = (torch.tensor(places).float()[:, None] for places in (BOXES, GOALS))
STEPS, EVERY = 240, 6


def train() -> tuple[nn.Module, list[dict[str, object]]]:
    """Train a critic on the dual problem; return it and what it has learned at each sixth step."""
    torch.manual_seed(0)
    critic = nn.Sequential(
        blocks.orthogonal_linear(1, 8),
        blocks.MaxMin(),
        blocks.orthogonal_linear(8, 8),
        blocks.MaxMin(),
        blocks.orthogonal_linear(8, 1),
    )
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.02)
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.01, total_iters=STEPS)
    a, b = (torch.tensor(WEIGHTS[name]).float() for name in ("weights_x", "weights_y"))
    learned: list[dict[str, object]] = []
    for step in range(STEPS + 1):
        if step % EVERY == 0:
            learned.append(seen(critic, step))
        optimizer.zero_grad()
        (b @ critic(Y)[:, 0] - a @ critic(X)[:, 0]).backward()
        optimizer.step()
        slower.step()
    return critic, learned


@torch.no_grad()
def seen(critic: nn.Module, step: int) -> dict[str, object]:
    """Return the critic's scores, with a mean of 0, and the cost that they prove."""
    scores = critic(torch.cat([X, Y, LINE]))[:, 0]
    scores = (scores - scores[: len(X) + len(Y)].mean()).tolist()
    bound = critic_bound(critic, X, Y, 1.0, **WEIGHTS)
    return {
        "step": step,
        "prices": [round(score, 3) for score in scores[:7]],
        "line": [round(score, 3) for score in scores[7:]],
        "value": round(TOTAL * bound, 4),
    }


def value(prices: list[float]) -> float:
    """Return the mean price of the boxes less that of the goals, for all boxes together."""
    return TOTAL * float(WEIGHTS["weights_x"] @ prices[:3] - WEIGHTS["weights_y"] @ prices[3:])


def broken(prices: list[float]) -> int:
    """Return how many pairs differ by more than their distance."""
    f, h = np.array(prices[:3]), np.array(prices[3:])
    return int((f[:, None] - h > np.abs(BOXES[:, None] - GOALS) + 1e-9).sum())


def by_hand(prices: list[float]) -> dict[str, object]:
    """Return what the page shows for given prices."""
    return {
        "move": {f"dual-price{k + 1}": price for k, price in enumerate(prices)},
        "read": {"dual-value": value(prices), "dual-broken": broken(prices)},
        "tolerance": 1e-3,
    }


if __name__ == "__main__":
    critic, learned = train()
    exact = sngan.wasserstein(BOXES, GOALS, **WEIGHTS)
    program = dual_linear_program(BOXES, GOALS, **WEIGHTS)
    last = learned[-1]
    optimal = np.concatenate([program.critic_x, program.critic_y])
    data = {
        "boxes": BOXES.tolist(),
        "goals": GOALS.tolist(),
        "massesX": MASSES_X.tolist(),
        "massesY": MASSES_Y.tolist(),
        "plan": np.round(TOTAL * exact.plan.toarray()).astype(int).tolist(),
        "cost": round(TOTAL * exact.distance, 9),
        "lower": TOTAL * exact.lower,
        "upper": TOTAL * exact.upper,
        "gap": TOTAL * exact.gap,
        "program": {"primal": TOTAL * program.primal, "dual": TOTAL * program.dual},
        "line": LINE[:, 0].tolist(),
        "learned": learned,
        "lipschitz": sngan.lipschitz_bounds(critic, (1,)).upper,
        "last": last["value"],
        "checks": [
            by_hand((optimal - optimal.mean().round()).round(6).tolist()),
            by_hand([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
            by_hand([1.5, 0.5, -2.0, 1.0, -1.0, -1.5, -4.5]),
            {
                "move": {"dual-step": STEPS},
                "read": {"dual-value": last["value"], "dual-broken": 0},
                "tolerance": 2e-2,
            },
        ],
    }
    Path("dual.json").write_text(json.dumps(data))
