"""How good is my Wasserstein critic, and how would I know?

A critic with the Lipschitz constant L proves that the Wasserstein distance is at least the
difference of its mean scores, divided by L. The audit puts this bound beside the exact distance.
Two critics are trained alike on the same points, both with spectral norm 1 in every layer: the one
with ReLU cannot use all of its slope, and proves only a part of the distance. The one with
orthogonal layers and MaxMin (1-Lipschitz as well) proves nearly all of it.

Run: python examples/audit_critic.py  (about 12 s on two CPU cores)
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn

import sngan
from sngan.lipschitz.blocks import MaxMin, orthogonal_linear
from sngan.transport import audit_critic, optimal_potential

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
torch.manual_seed(0)
angle = 2 * torch.pi * torch.rand(200)
real = torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(200, 2)
fake = 0.3 * torch.randn(200, 2)


def trained(critic, normalize):
    optimizer = torch.optim.Adam(critic.parameters(), 5e-3)
    if normalize:
        sngan.SpectralNorm(critic, optimizer)
    for _ in range(600):
        optimizer.zero_grad()
        sngan.losses.wasserstein.critic(critic(real), critic(fake)).backward()
        optimizer.step()
    return critic.requires_grad_(False)


relu = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
sizes = [(2, 64), (64, 64), (64, 64), (64, 1)]
tight = [part for size in sizes for part in (orthogonal_linear(*size), MaxMin())][:-1]
critics = {"ReLU": trained(relu, True), "MaxMin": trained(nn.Sequential(*tight), False)}

figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
axes[0].scatter(*real.T, s=6, color="#64748b", label="real")
axes[0].scatter(*fake.T, s=6, color="#ea580c", label="generated")
line = torch.stack([torch.linspace(-1.6, 1.6, 321), torch.zeros(321)], 1)
axes[0].plot(*line.T, color="gray", lw=1, ls="--", label="the line at the right")
axes[0].set(title="The points", aspect="equal", xlabel="x₁", ylabel="x₂", ylim=(-1.3, 2.1))
axes[0].legend(loc="upper center", fontsize=8, frameon=False)
exact = sngan.wasserstein(real, fake)
best = torch.tensor(optimal_potential(line, fake, exact.potential_y))
axes[1].plot(line[:, 0], best - best.mean(), color="#2563eb", lw=2, label="the perfect critic")
for (name, critic), colour in zip(critics.items(), ("#dc2626", "#16a34a"), strict=True):
    bounds = sngan.lipschitz_bounds(critic, (2,))
    audit = audit_critic(critic, real, fake, bounds.upper)
    print(f"{name}: {bounds.lower:.4f} <= L <= {bounds.upper:.4f}; proves W1 >= {audit.bound:.4f} "
          f"of {audit.upper:.4f}; share {audit.share:.4f}")  # fmt: skip
    score = critic(line)[:, 0] / bounds.upper
    axes[1].plot(
        line[:, 0], score - score.mean(), color=colour, label=f"{name}: {audit.share:.0%} of W1"
    )
axes[1].set(title="Score / L along the line", xlabel="x₁", ylabel="score / L, mean 0")
axes[1].legend(frameon=False)
plt.savefig(FOLDER / "audit_critic.png", dpi=100)
