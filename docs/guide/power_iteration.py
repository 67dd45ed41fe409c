"""One warm power iteration an update follows the norm of a weight; a cold one does not."""

import matplotlib.pyplot as plt
import torch

import sngan

torch.manual_seed(0)
critic = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))
optimizer = torch.optim.Adam(critic.parameters(), lr=2e-3, betas=(0.0, 0.9))
sn = sngan.SpectralNorm(critic, optimizer, iterations=1)  # one iteration after each update
warm, cold = [], []
for _ in range(300):
    real, fake = torch.randn(128, 32) + 0.3, torch.randn(128, 32) - 0.3
    loss = sngan.losses.hinge.critic(critic(real), critic(fake))
    optimizer.zero_grad(), loss.backward(), optimizer.step()
    true = sn.singular_values()["0"][0].item()  # by an SVD; 1 if the last σ was right
    warm.append(abs(true - 1))
    cold.append(1 - sngan.spectral_norms(critic, iterations=1)["0"].item() / true)
plt.semilogy(cold, label="cold: from a fixed vector")
plt.semilogy(warm, label="warm: from the last vector")
plt.xlabel("update"), plt.ylabel("relative error of σ"), plt.legend()
plt.savefig("power_iteration.svg")
