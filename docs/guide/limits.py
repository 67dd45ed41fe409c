"""Four layers of norm 1, and no limit of the slope: attention is steeper at larger inputs."""

import matplotlib.pyplot as plt
import torch

import sngan
from sngan.models.attention import SelfAttention

torch.manual_seed(0)
attention = SelfAttention(16).double()
attention.gamma.data.fill_(1.0)
sngan.SpectralNorm(attention, torch.optim.SGD(attention.parameters(), lr=0.1))  # norm 1
print(sngan.lipschitz_bounds(attention, (16, 2, 2)).upper)  # inf
directions = torch.nn.functional.normalize(torch.randn(50, 64).double())
sizes, slopes = [2.0**k for k in range(8)], []
for size in sizes:
    points = (size * directions).unflatten(1, (16, 2, 2))
    jacobians = [
        torch.autograd.functional.jacobian(attention, p[None]).view(64, 64) for p in points
    ]
    slopes.append(max([*slopes, *(torch.linalg.matrix_norm(j, 2).item() for j in jacobians)]))
plt.loglog(sizes, slopes, "o-"), plt.xlabel("largest length of input"), plt.ylabel("slope found")
plt.savefig("limits.svg")
