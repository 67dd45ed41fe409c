"""Two critics of the same data: the constant of each lies in a bracket, and one is at most 1."""

import matplotlib.pyplot as plt
import torch

from sngan import SpectralNorm, lipschitz_bounds, losses

line, modes = torch.linspace(-5, 5, 201)[:, None], torch.tensor([[-2.0], [2.0]] * 32)
for name, colour in (("no rule", "#c14a09"), ("spectral normalization", "#7b3fa0")):
    torch.manual_seed(0)
    critic = torch.nn.Sequential(torch.nn.Linear(1, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.02)
    sn = SpectralNorm(critic, optimizer) if name != "no rule" else None
    for _ in range(400):  # real data around -2 and 2, generated data around 0
        real, generated = torch.randn(2, 64, 1) / 2
        optimizer.zero_grad()
        losses.hinge.critic(critic(real + modes), critic(generated)).backward()
        optimizer.step()
    found = lipschitz_bounds(critic, (1,))
    bracket = f"{name}: {found.lower:.2f} ≤ L ≤ {found.upper:.2f}"
    plt.plot(line, critic(line).detach(), colour, label=bracket)
plt.legend(title="score of a critic over the place")
plt.savefig("lipschitz.svg")
