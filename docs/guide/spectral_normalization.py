"""Two ways of spectral normalization take the same way through 100 updates."""

import copy

import matplotlib.pyplot as plt
import torch
from torch import nn

from sngan import SpectralNorm

theirs = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 1)).double()
for layer in theirs[::2]:  # torch divides by σ in each forward pass
    nn.utils.parametrizations.spectral_norm(layer, n_power_iterations=20)
ours, found = copy.deepcopy(theirs), []
optimizers = [torch.optim.Adam(net.parameters(), lr=1e-2) for net in (ours, theirs)]
SpectralNorm.from_parametrized(ours, optimizers[0], iterations=20)  # sngan divides after each step
for points in torch.randn(100, 256, 2).double():
    for net, optimizer in zip((ours, theirs), optimizers, strict=True):
        loss = (net(points) - points.norm(dim=1, keepdim=True)).square().mean()
        optimizer.zero_grad(), loss.backward(), optimizer.step()
        found.append(loss.item())
plt.semilogy(found[::2], label="loss")
plt.semilogy([abs(a - b) for a, b in zip(found[::2], found[1::2], strict=True)], label="difference")
plt.xlabel("update"), plt.legend(), plt.savefig("spectral_normalization.svg")
