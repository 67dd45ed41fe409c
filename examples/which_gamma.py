"""Which weight γ of the R1 penalty fits my data?

There is no rule: the right γ depends on the scale of the data and on the networks, so try some, a
factor of ten apart, in short runs. On these 25 clusters the exact Wasserstein distance decides,
beside the number of clusters and the critic's proved slope. From 0.001 to 1 the distances lie
within an eighth of each other, which one seed cannot tell apart; 10 is clearly too large.

Run: python examples/which_gamma.py  (about 65 s on two CPU cores)
"""

import sys
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import sngan
from sngan.engine import TrainState, train_step

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
GAMMAS, STEPS = (0.001, 0.01, 0.1, 1.0, 10.0), 1500
data = sngan.data.open_source("grid25")
real = data.samples[:1000]
grid = sngan.data.MIXTURES["grid25"]

figure, axes = plt.subplots(
    1, 6, figsize=(8, 2.4), layout="constrained", width_ratios=[2, *[1] * 5]
)
distances = []
for gamma, panel in zip(GAMMAS, axes[1:], strict=True):
    method = replace(sngan.METHODS["r1"], penalty_weight=gamma)
    config = sngan.Config(data="grid25", method=method, steps=STEPS, ema_start=100, ema_decay=0.99)
    state = TrainState.build(config, data)
    for _ in range(STEPS):
        train_step(config, state)
    noise = torch.randn(1000, 2, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        points = state.average.module(noise)
    bounds = sngan.lipschitz_bounds(state.critic.module, (2,), lower=False)
    covered = sngan.metrics.mixture_coverage(points, grid).covered
    distances.append(sngan.wasserstein(points, real).distance)
    print(f"gamma {gamma:g}: W1 {distances[-1]:.3f}, {covered} of 25 clusters, "
          f"critic's slope at most {bounds.upper:.3g}")  # fmt: skip
    panel.scatter(*points.T, s=1, color="#ea580c")
    panel.set(title=f"γ {gamma:g}\n{covered}/25", xticks=[], yticks=[], aspect="equal")
    panel.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1))
best = min(range(len(GAMMAS)), key=distances.__getitem__)
print(f"smallest distance at gamma {GAMMAS[best]:g}")
axes[0].semilogx(GAMMAS, distances, "o-", color="#2563eb")
axes[0].set(title="W1 to the data", xlabel="γ", ylim=(0, None))
plt.savefig(FOLDER / "which_gamma.png", dpi=100)
