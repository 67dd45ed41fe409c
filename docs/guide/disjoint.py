"""The Jensen–Shannon divergence saturates where two distributions part, and W1 does not."""

import matplotlib.pyplot as plt
import torch

import sngan

points = torch.linspace(0, 1, 65)[:, None]
shifts = torch.linspace(0, 3, 31).tolist()
distances = [sngan.wasserstein(points, points + shift).distance for shift in shifts]
divergences = [min(shift, 1) * 0.6931 for shift in shifts]

plt.plot(shifts, distances, label="Wasserstein distance")
plt.plot(shifts, divergences, label="Jensen–Shannon divergence")
plt.xlabel("shift")
plt.legend()
plt.savefig("disjoint.svg")
