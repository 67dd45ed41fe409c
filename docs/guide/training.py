"""Clipping piles a critic's weights up at plus and minus c; a penalty leaves them free."""

import matplotlib.pyplot as plt
import torch
from torch import nn

from sngan import losses, penalties

torch.manual_seed(0)
real, fake = torch.randn(256, 2) / 5 + 1, torch.randn(256, 2) / 5 - 1
for method in ("clip", "penalty"):
    critic = nn.Sequential(nn.Linear(2, 256), nn.ReLU(), nn.Linear(256, 1))
    optimizer = torch.optim.Adam(critic.parameters(), lr=5e-3, betas=(0.0, 0.9))
    for _ in range(300):
        loss = losses.wasserstein.critic(critic(real), critic(fake))
        loss = loss + 10 * penalties.wgan_gp(critic, real, fake) * (method == "penalty")
        optimizer.zero_grad(), loss.backward(), optimizer.step()
        if method == "clip":
            penalties.clip_weights_(critic, 0.2)
    weights = torch.cat([w.flatten() for w in critic.parameters()]).tolist()
    plt.hist(weights, bins=41, range=(-1, 1), alpha=0.6, label=method)
plt.legend(), plt.xticks([-1, -0.2, 0.2, 1]), plt.xlabel("weight"), plt.ylabel("how many")
plt.savefig("training.svg")
