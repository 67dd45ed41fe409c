"""WGAN-GP or spectral normalization: how do time, slopes and quality compare on my data?

Both train the same networks on the same points, 25 clusters, for the same number of steps, each
with its usual settings for points. The page shows the CPU time of a step, how steep the critic is
at real and at generated points, and the exact Wasserstein distance to the data on the way. The
gradient penalty pulls slopes to 1 where it looks; spectral normalization bounds them everywhere.
The networks see points of standard deviation 1, and these have 0.57, so their 1 is a slope of 1.8.

Run: python examples/wgan_gp_against_sn.py  (about 35 s on two CPU cores)
"""

import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import sngan
from sngan.engine import TrainState, train_step

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
STEPS, EVERY = 2000, 250
data = sngan.data.open_source("grid25")
real = data.samples[:1000]


def samples(state):
    with torch.no_grad():
        return state.average.module(
            torch.randn(1000, 2, generator=torch.Generator().manual_seed(1))
        )


def slopes(state, points):
    points = points.clone().requires_grad_()
    return torch.autograd.grad(state.critic.module(points).sum(), points)[0].norm(dim=1)


figure, axes = plt.subplots(1, 3, figsize=(8, 3.4), layout="constrained")
for name, colour in (("wgan-gp", "#2563eb"), ("sn", "#ea580c")):
    config = sngan.Config(data="grid25", method=name, steps=STEPS, ema_start=100, ema_decay=0.99)
    state = TrainState.build(config, data)
    seconds, distances = 0.0, []
    for _ in range(STEPS // EVERY):
        start = time.process_time()
        for _ in range(EVERY):
            train_step(config, state)
        seconds += time.process_time() - start
        distances.append(sngan.wasserstein(samples(state), real).distance)
    made = samples(state)
    found = torch.cat([slopes(state, real), slopes(state, made)])
    bounds = sngan.lipschitz_bounds(state.critic.module, (2,), lower=False)
    cover = sngan.metrics.mixture_coverage(made, sngan.data.MIXTURES["grid25"])
    print(
        f"{name:8s} {1000 * seconds / STEPS:.1f} ms a step, W1 {distances[-1]:.3f}, "
        f"{cover.covered} of 25 clusters, slope {found.mean():.2f} on average and "
        f"{found.max():.2f} at most, proved at most {bounds.upper:.2f}"
    )
    axes[0].bar(name, 1000 * seconds / STEPS, color=colour)
    style = {"color": colour, "histtype": "step", "lw": 1.8, "label": name}
    axes[1].hist(found / found.mean(), bins=40, range=(0, 3), **style)
    axes[2].plot(range(EVERY, STEPS + 1, EVERY), distances, color=colour, marker=".", label=name)
floor = sngan.wasserstein(data.samples[1000:2000], real).distance
print(f"floor of W1: {floor:.3f}, real points against others")
axes[0].set(title="CPU time of a step", ylabel="ms")
axes[1].set(title="Slopes at the samples", xlabel="slope / mean slope", ylabel="samples")
axes[2].axhline(floor, color="#64748b", ls="--", label="real against real")
axes[2].set(title="Exact W1 to the data", xlabel="step", ylim=(0, None))
axes[1].legend(frameon=False)
axes[2].legend(frameon=False)
plt.savefig(FOLDER / "wgan_gp_against_sn.png", dpi=100)
