"""A convolution stretches more than its reshaped kernel says: up to three times for 3×3."""

import matplotlib.pyplot as plt
import torch

import sngan

identity, box = torch.zeros(3, 3), torch.ones(3, 3)
identity[1, 1] = 1
layer = torch.nn.Conv2d(1, 1, 3, padding=1, bias=False)
shares, ratios = [k / 10 for k in range(11)], {"exact": [], "upper_bound": []}
for share in shares:
    kernel = (1 - share) * identity + share * box
    layer.weight.data[0, 0] = kernel / kernel.norm()  # norm 1 as a matrix
    for method, found in ratios.items():
        found.append(sngan.operator_norm(layer, (1, 32, 32), method=method).item())
for method, found in ratios.items():
    plt.plot(shares, found, "o-" if method == "exact" else "--", label=f"true norm, {method}")
plt.plot(shares, [1] * 11, label="norm of the reshaped kernel")
plt.xlabel("from a single weight (0) to nine equal ones (1)"), plt.legend()
plt.savefig("matrices.svg")
