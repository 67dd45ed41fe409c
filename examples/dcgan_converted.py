"""How do I convert the DCGAN tutorial to spectral normalization?

Add one line after the optimizer of the critic; the rest of the loop stays. It is shown for two
learning rates, that of the tutorial and ten times as much, on 8×8 digits. The Fréchet distance of
the pixels is 0 for a perfect generator of infinitely many digits; its floor, real digits against
other real ones, is printed beside it. It is one seed: differences of a tenth mean nothing.

Run: python examples/dcgan_converted.py  (about 45 s on two CPU cores)
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn, optim

from sngan import SpectralNorm, data
from sngan.metrics import frechet_distance

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
digits = data.open_source("digits").samples / 127.5 - 1
digits = digits[torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))]
training, unseen = digits[:1200], digits[1200:]


def train(lr, normalized, steps=600, nz=32):
    torch.manual_seed(0)
    netG = nn.Sequential(
        nn.ConvTranspose2d(nz, 64, 4, 1, 0, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 1, 3, 1, 1), nn.Tanh(),
    )  # fmt: skip
    netD = nn.Sequential(
        nn.Conv2d(1, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 64, 3, 1, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(64, 1, 4, 1, 0), nn.Flatten(0),
    )  # fmt: skip
    criterion = nn.BCEWithLogitsLoss()
    optimizerD = optim.Adam(netD.parameters(), lr=lr, betas=(0.5, 0.999))
    optimizerG = optim.Adam(netG.parameters(), lr=lr, betas=(0.5, 0.999))
    if normalized:
        SpectralNorm(netD, optimizerD, coefficient=2.0)  # the one line
    ones, zeros = torch.ones(64), torch.zeros(64)
    for _ in range(steps):
        real = training[torch.randint(len(training), (64,))]
        fake = netG(torch.randn(64, nz, 1, 1))
        netD.zero_grad()
        errD = criterion(netD(real), ones) + criterion(netD(fake.detach()), zeros)
        errD.backward()
        optimizerD.step()
        netG.zero_grad()
        errG = criterion(netD(fake), ones)
        errG.backward()
        optimizerG.step()
    with torch.no_grad():
        return netG.eval()(torch.randn(len(unseen), nz, 1, 1)), errD.item()


floor = frechet_distance(training[:597].flatten(1), unseen.flatten(1))
print(f"floor: real digits against others {floor:.2f}")
figure, axes = plt.subplots(2, 2, figsize=(7, 7.4), layout="constrained")
for row, lr in zip(axes, (2e-4, 2e-3), strict=True):
    for panel, normalized in zip(row, (False, True), strict=True):
        images, loss = train(lr, normalized)
        distance = frechet_distance(images.flatten(1), unseen.flatten(1))
        name = "with SpectralNorm" if normalized else "as in the tutorial"
        print(f"lr {lr:g} {name:20s} Fréchet {distance:7.2f}, critic's last loss {loss:.3f}")
        framed = nn.functional.pad(images[:100, 0], (1, 1, 1, 1), value=-0.6)
        rows = [torch.cat([*framed[k : k + 10]], 1) for k in range(0, 100, 10)]
        panel.imshow(torch.cat(rows), cmap="gray_r", vmin=-1, vmax=1)
        panel.set(title=f"{name}, lr {lr:g}\nFréchet {distance:.1f}", xticks=[], yticks=[])
plt.savefig(FOLDER / "dcgan_converted.png", dpi=100)
