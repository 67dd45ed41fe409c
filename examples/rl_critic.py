"""Does spectral normalization help the critic of reinforcement learning?

A Q-network learns to park a cart on a slope, with one-step targets from itself: errors feed back,
and large learning rates diverge. Following Gogianu et al. 2021 (arXiv:2105.05246), only hidden
layers are normalized, never the first or the last one. Shown is the mean reward after training,
over five seeds, at three learning rates, with and without it.

Run: python examples/rl_critic.py  (about 60 s on two CPU cores)
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn

from sngan import SpectralNorm

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
RATES, SEEDS, STEPS = (1e-3, 1e-2, 3e-2), range(5), 500
FORCES = torch.tensor([-1.0, 0.0, 1.0])


def step(state, action):
    """Move carts (n, 2) of position and speed on a slope; the reward is 1 at rest at the goal."""
    speed = 0.95 * state[:, 1] + 0.1 * (FORCES[action] + 0.4 * (3 * state[:, 0]).sin())
    moved = torch.stack([(state[:, 0] + 0.1 * speed).clamp(-2, 2), speed], 1)
    return moved, (-4 * (moved[:, 0] - 1).square() - moved[:, 1].square()).exp()


def start(n):
    return torch.stack([4 * torch.rand(n) - 2, 0.2 * torch.randn(n)], 1)


def trained(rate, normalized):
    net = nn.Sequential(
        nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(),
        nn.Linear(64, 3),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), rate)
    if normalized:
        SpectralNorm(net, optimizer, layers=["2", "4"])
    state = start(64)
    for k in range(STEPS):
        with torch.no_grad():
            best = net(state).argmax(1)
            action = torch.where(torch.rand(64) < 0.2, torch.randint(3, (64,)), best)
            moved, reward = step(state, action)
            target = reward + 0.95 * net(moved).amax(1)
        optimizer.zero_grad()
        (net(state)[torch.arange(64), action] - target).square().mean().backward()
        optimizer.step()
        state = start(64) if k % 50 == 49 else moved
    return net


@torch.no_grad()
def mean_reward(net):
    state, total = start(256), 0.0
    for _ in range(60):
        state, reward = step(state, net(state).argmax(1))
        total += reward.mean().item() / 60
    return total


figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for shift, (name, normalized) in enumerate((("plain", False), ("hidden layers normalized", True))):
    colour = ("#2563eb", "#ea580c")[shift]
    for place, rate in enumerate(RATES):
        rewards = []
        for seed in SEEDS:
            torch.manual_seed(seed)
            rewards.append(mean_reward(trained(rate, normalized)))
        mean = sum(rewards) / len(rewards)
        print(f"lr {rate:g} {name:25s} mean reward {mean:.3f}, worst seed {min(rewards):.3f}")
        at = place + 0.2 * shift - 0.1
        label = name if place == 0 else None
        axes.scatter([at] * len(rewards), rewards, color=colour, alpha=0.5, label=label)
        axes.hlines(mean, at - 0.08, at + 0.08, color=colour, lw=3)
axes.set(title="Reward after 500 steps of Q-learning: five seeds and their mean", ylim=(0, 1))
axes.set(
    xticks=range(3), xticklabels=[f"learning rate {rate:g}" for rate in RATES], ylabel="reward"
)
axes.legend(frameon=False)
plt.savefig(FOLDER / "rl_critic.png", dpi=100)
