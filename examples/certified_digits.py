"""How many digits does a classifier read right, whatever someone changes within a radius?

All ten digits, and zero against eight, of scikit-learn (8×8 pixels in [−1, 1]). The networks are
1-Lipschitz by construction, and learn the HKR loss on one half of the samples. On the other half,
the table has for each radius the share of samples that are proved to keep their right class, the
share that keeps it under an attack, and the share that is right without a change. An attack never
goes below the proof.

Run: python examples/certified_digits.py  (about 12 s on two CPU cores)
"""

import sys
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn

from sngan import certified_accuracy, data, losses
from sngan.lipschitz import blocks

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
RADII = [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5]
torch.manual_seed(0)
digits = data.open_source("digits")
images, labels = digits.values(torch.arange(len(digits))), digits.labels
pair = (labels == 0) | (labels == 8)
ten_loss = partial(losses.multiclass_hkr, alpha=0.99, margin=0.7)
pair_loss = partial(losses.hkr, alpha=0.99, margin=2.0)
TASKS = {
    "ten digits": (images, labels, 10, ten_loss),
    "0 or 8": (images[pair], (labels[pair] == 8).long(), 1, pair_loss),
}

figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for (title, (x, y, outputs, loss)), axis in zip(TASKS.items(), axes, strict=True):
    hidden = [blocks.orthogonal_linear(64, 128), blocks.MaxMin()]
    hidden += [blocks.orthogonal_linear(128, 128), blocks.MaxMin()]
    model = nn.Sequential(nn.Flatten(), *hidden, blocks.orthogonal_linear(128, outputs))
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 300)
    half = len(x) // 2
    for _ in range(300):
        batch = torch.randint(half, (128,))
        optimizer.zero_grad()
        loss(model(x[batch]), y[batch]).backward()
        optimizer.step()
        schedule.step()
    found = certified_accuracy(model, x[half:], y[half:], RADII, slopes="product", attack_steps=10)
    print(f"{title}\n{found.table()}\n")
    axis.plot(RADII, found.attacked, "o-", label="under an attack")
    axis.plot(RADII, found.certified, "s-", label="certified")
    axis.axhline(found.clean, color="grey", linestyle=":", label="without a change")
    axis.set(title=title, xlabel="radius", ylabel="right", ylim=(0, 1.02))
    axis.legend()
figure.savefig(FOLDER / "certified_digits.png", dpi=120)
