"""The Jensen–Shannon divergence saturates where two distributions part, and W1 does not."""

import matplotlib.pyplot as plt
import torch

from sngan.transport import landscape

shifts = torch.linspace(-3, 3, 241)
found = landscape(shifts, width=1.0)  # two uniform distributions of width 1

figure, (left, right) = plt.subplots(1, 2)
left.set(title="distance", xlabel="shift t")
left.plot(shifts, found.wasserstein, "#007a5a", label="Wasserstein W₁")
left.plot(shifts, found.jensen_shannon, "#7b3fa0", label="Jensen–Shannon")
left.legend()

right.set(title="derivative in t", xlabel="shift t")
right.plot(shifts, found.wasserstein_gradient, "#007a5a")
right.plot(shifts, found.jensen_shannon_gradient, "#7b3fa0")
plt.savefig("disjoint.svg")
