"""Does spectral normalization help the critic of reinforcement learning?

A Q-network learns from random moves to park a cart on a wave. Its targets come from itself, so
errors feed back, and without a frozen copy for the targets the values explode; the true ones are at
most 20. Following Gogianu et al. 2021 (arXiv:2105.05246), only hidden layers are normalized. This
slows the explosion by orders of magnitude, but does not stop it. A frozen copy does; then both
networks learn to park, the plain one a little better.

Run: python examples/rl_critic.py  (about 20 s on two CPU cores)
"""

import copy
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn

from sngan import SpectralNorm

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
FORCES, DISCOUNT, STEPS = torch.tensor([-1.0, 0.0, 1.0]), 0.95, 600


def step(state, action):
    """Move carts (n, 2) of position and speed; the reward is 1 at rest at the goal, position 1."""
    speed = 0.95 * state[:, 1] + 0.2 * (FORCES[action] - 0.5 * (3 * state[:, 0]).sin())
    moved = torch.stack([(state[:, 0] + 0.1 * speed).clamp(-2, 2), speed], 1)
    return moved, (-4 * (moved[:, 0] - 1).square() - moved[:, 1].square()).exp()


def train(seed, normalized, has_copy):
    torch.manual_seed(seed)
    hidden = [part for _ in range(2) for part in (nn.Linear(64, 64), nn.ReLU())]
    net = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), *hidden, nn.Linear(64, 3))
    optimizer = torch.optim.Adam(net.parameters(), 3e-3 if has_copy else 1e-3)
    if normalized:
        SpectralNorm(net, optimizer, layers=["2", "4"])
    teacher, largest = copy.deepcopy(net) if has_copy else net, []
    for k in range(STEPS):
        state = torch.stack([4 * torch.rand(64) - 2, torch.randn(64)], 1)
        action = torch.randint(3, (64,))
        with torch.no_grad():
            moved, reward = step(state, action)
            target = reward + DISCOUNT * teacher(moved).amax(1)
        values = net(state)
        optimizer.zero_grad()
        (values[torch.arange(64), action] - target).square().mean().backward()
        optimizer.step()
        largest.append(values.detach().max().item())
        if has_copy and k % 25 == 24:
            teacher.load_state_dict(net.state_dict())
    state, total = torch.stack([4 * torch.rand(256) - 2, torch.zeros(256)], 1), 0.0
    for _ in range(80):
        with torch.no_grad():
            state, reward = step(state, net(state).argmax(1))
        total += reward.mean().item() / 80
    return largest, total


figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for panel, has_copy in zip(axes, (False, True), strict=True):
    for normalized, colour in ((False, "#2563eb"), (True, "#ea580c")):
        runs = [train(seed, normalized, has_copy) for seed in range(3)]
        name = "hidden layers normalized" if normalized else "plain"
        rewards = [reward for _, reward in runs]
        print(
            f"{'with' if has_copy else 'without'} a frozen copy, {name}: largest value "
            f"{max(largest[-1] for largest, _ in runs):.3g}, mean reward {sum(rewards) / 3:.2f}"
        )
        for number, (largest, _) in enumerate(runs):
            panel.plot(largest, color=colour, lw=1, label=None if number else name)
    panel.axhline(1 / (1 - DISCOUNT), color="gray", ls="--", label="most that is possible")
    panel.set(title=f"{'With' if has_copy else 'Without'} a frozen copy for the targets")
    panel.set(xlabel="step", ylabel="largest value", yscale="linear" if has_copy else "log")
    panel.legend(frameon=False, loc=(0.02, 0.6) if has_copy else "lower right")
plt.savefig(FOLDER / "rl_critic.png", dpi=100)
