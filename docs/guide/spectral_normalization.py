"""Two ways of spectral normalization take the same way through 100 updates."""

import copy

import matplotlib.pyplot as plt
import torch

from sngan import SpectralNorm

torch.manual_seed(0), torch.set_default_dtype(torch.float64)
theirs = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
for layer in theirs[::2]:  # torch divides by σ in each forward pass
    torch.nn.utils.parametrizations.spectral_norm(layer, n_power_iterations=50)
theirs(torch.zeros(1, 2))  # now torch's σ fits the first weights
ours, found = copy.deepcopy(theirs), []
optimizers = [torch.optim.Adam(net.parameters(), lr=1e-2) for net in (ours, theirs)]
SpectralNorm.from_parametrized(ours, optimizers[0], iterations=50)  # sngan divides after each step
for points in torch.randn(100, 256, 2):
    for net, optimizer in zip((ours, theirs), optimizers, strict=True):
        loss = (net(points) - points.norm(dim=1, keepdim=True)).square().mean()
        optimizer.zero_grad(), loss.backward(), optimizer.step(), found.append(loss.item())
plt.semilogy(found[::2], label="loss")
plt.semilogy([abs(a - b) for a, b in zip(found[::2], found[1::2], strict=True)], label="difference")
plt.xlabel("update"), plt.legend(), plt.savefig("spectral_normalization.svg")
