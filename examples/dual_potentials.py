"""How do I see the two potentials that prove a transport plan optimal?

The cheapest plan gives the Wasserstein distance from above, and two potentials give it from below:
f(x) + g(y) never exceeds the distance |x − y|, and equals it wherever the plan moves mass. Both
potentials come from one function with slope at most 1, which is the perfect critic of a WGAN. The
picture has this critic as colours, and each move of the plan as a line along which it rises.

Run: python examples/dual_potentials.py  (about 4 s on two CPU cores)
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import sngan
from sngan.transport import dual_linear_program, optimal_potential

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
random = np.random.default_rng(0)
angle = random.uniform(0, 2 * np.pi, 60)
real = np.stack([np.cos(angle), np.sin(angle)], 1) + 0.06 * random.standard_normal((60, 2))
fake = np.array([0.15, 0.1]) + 0.3 * random.standard_normal((60, 2))

found = sngan.wasserstein(real, fake)
dual = found.potential_x.mean() + found.potential_y.mean()
lengths = np.linalg.norm(real[:, None] - fake, axis=2)
slack = lengths - (found.potential_x[:, None] + found.potential_y)
moves = np.argwhere(found.plan.toarray() > 1e-12)
program = dual_linear_program(real, fake)
print(f"plan (from above)        {found.distance:.9f}")
print(f"potentials (from below)  {dual:.9f}   gap {found.gap:.1e}")
print(f"one critic (HiGHS)       {program.critic:.9f}")
print(f"least slack of f + g <= distance: {slack.min():.1e}")
print(f"largest slack on the {len(moves)} moves: {slack[tuple(moves.T)].max():.1e}")


def critic(points):
    return optimal_potential(points, torch.tensor(fake), found.potential_y)


ticks = torch.linspace(-1.5, 1.5, 201, dtype=torch.float64)
grid = torch.cartesian_prod(ticks, ticks)
height = critic(grid).reshape(201, 201)
steepest = max(abs(np.diff(height, axis=axis)).max() for axis in (0, 1)) * 200 / 3
print(f"steepest step of the critic on the grid: {steepest:.4f}")

figure, axes = plt.subplots(figsize=(7, 6), layout="constrained")
levels = axes.contourf(ticks, ticks, height.T, 24, cmap="viridis")
for i, j in moves:
    axes.plot(*zip(fake[j], real[i], strict=True), color="white", lw=0.9, alpha=0.8)
style = {"edgecolor": "black", "linewidth": 0.5, "s": 32, "zorder": 3}
axes.scatter(*real.T, color="#f8fafc", label="real points", **style)
axes.scatter(*fake.T, color="#ea580c", label="generated points", **style)
axes.set(
    title=f"The perfect critic: it proves W1 = {dual:.4f}", aspect="equal", xlabel="x₁", ylabel="x₂"
)
axes.legend(loc="upper right")
figure.colorbar(levels, label="potential, in units of distance")
plt.savefig(FOLDER / "dual_potentials.png", dpi=100)
