"""How do I add spectral normalization to a training loop of my own?

One line does it: `SpectralNorm(critic, optimizer)`. The loop below is an ordinary one of 25 lines,
with both networks; it learns a spiral of points. The critic holds normalized weights all the time,
so nothing else changes. The last number says how far the generated points are from new real ones,
beside the distance of real points from other real ones, which no generator can beat.

Run: python examples/own_loop.py  (about 15 s on two CPU cores)
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn

from sngan import SpectralNorm, data, losses, wasserstein

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
torch.manual_seed(0)
points = data.open_source("swissroll").samples

# the loop of 25 lines begins here
STEPS = 1500


def mlp(outputs):
    hidden = [nn.Linear(2, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(128, outputs))


generator, critic = mlp(2), mlp(1)
optimizers = [torch.optim.Adam(net.parameters(), 2e-3, (0.0, 0.9)) for net in (generator, critic)]
schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(each, STEPS) for each in optimizers]
sn = SpectralNorm(critic, optimizers[1], coefficient=2.0)  # the one line
sigmas = []
for _ in range(STEPS):
    real, fake = points[torch.randint(len(points), (256,))], generator(torch.randn(256, 2))
    optimizers[1].zero_grad()
    losses.hinge.critic(critic(real), critic(fake.detach())).backward()
    optimizers[1].step()  # the weights are normalized again, once per update
    optimizers[0].zero_grad()
    losses.hinge.generator(critic(fake)).backward()
    optimizers[0].step()
    for schedule in schedules:
        schedule.step()
    sigmas.append(torch.stack(list(sn.sigmas().values())))
# and ends here

with torch.no_grad():
    norms = [torch.linalg.matrix_norm(layer.weight, 2).item() for layer in critic[::2]]
    made = generator(torch.randn(1000, 2))
print(f"norms of the critic's weights: {min(norms):.4f} to {max(norms):.4f}")
print(f"W1 generated - real {wasserstein(made, points[:1000]).distance:.4f}")
print(f"W1 real - real      {wasserstein(points[1000:2000], points[:1000]).distance:.4f}")

figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
axes[0].scatter(*points[:1000].T, s=4, color="#94a3b8", label="real")
axes[0].scatter(*made.T, s=4, color="#ea580c", label="generated")
axes[0].set(title="Points after 1,500 steps", xlabel="x₁", ylabel="x₂", ylim=(-0.9, 1.5))
axes[0].legend(loc="upper left", markerscale=3, frameon=False)
axes[1].plot(torch.stack(sigmas), label=[f"layer {name}" for name in sn.sigmas()])
axes[1].set(title="σ, by which SpectralNorm divides", xlabel="step", ylim=(0, None))
axes[1].legend(frameon=False)
plt.savefig(FOLDER / "own_loop.png", dpi=100)
