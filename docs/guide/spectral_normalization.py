"""Two ways of spectral normalization take the same way through 100 updates."""

import copy

import matplotlib.pyplot as plt
import torch

from sngan import SpectralNorm, losses

theirs = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1)).double()
for layer in (theirs[0], theirs[2]):  # torch divides by σ in each forward pass
    torch.nn.utils.parametrizations.spectral_norm(layer)
[theirs(torch.zeros(1, 2).double()) for _ in range(300)]  # until its σ is exact
ours = copy.deepcopy(theirs)
optimizers = [torch.optim.Adam(net.parameters(), lr=1e-2) for net in (ours, theirs)]
SpectralNorm.from_parametrized(ours, optimizers[0])  # sngan divides after each update
found = []
for _ in range(100):
    points = torch.randn(256, 2).double()
    for net, optimizer in zip((ours, theirs), optimizers, strict=True):
        scores = net(points + points.sign())
        loss = losses.hinge.critic(scores[points[:, 0] > 0], scores[points[:, 0] < 0])
        optimizer.zero_grad(), loss.backward(), optimizer.step()
        found.append(loss.item())
plt.semilogy(found[::2], label="loss of the critic")
plt.semilogy([abs(a - b) + 1e-18 for a, b in zip(found[::2], found[1::2], strict=True)], label="difference of the two ways")
plt.xlabel("update"), plt.legend()
plt.savefig("spectral_normalization.svg")
