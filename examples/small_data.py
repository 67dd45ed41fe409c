"""How do I train on few images?

Add `augment="ada"`: the critic then sees all images, real and generated, turned, moved and
recoloured at random, so that it cannot learn the few real ones by heart. The probability of each
change adapts itself. Both runs below learn from the same 100 digits, and are measured against the
1,697 that they have not seen. After these 1,000 steps no difference is to be seen, because nothing
has been learned by heart yet; docs/results.md has runs of 3,000 steps, where it helps.

Run: python examples/small_data.py  (about 40 s on two CPU cores)
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import sngan
from sngan.engine import TrainState, train_step

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
STEPS, EVERY = 1000, 200
digits = sngan.data.open_source("digits")
order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))
few, unseen = digits.samples[order[:100]], digits.values(order[100:]).flatten(1)
dataset = sngan.data.Dataset("100 digits", few)


def samples(state):
    noise = torch.randn(1697, 128, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return state.average.module.eval()(noise)


figure, axes = plt.subplots(1, 3, figsize=(8, 3.3), layout="constrained")
floor = sngan.metrics.frechet_distance(dataset.values(torch.arange(100)).flatten(1), unseen)
print(f"the 100 digits themselves: Fréchet {floor:.2f}")
for panel, augment, colour in zip(axes[1:], ("none", "ada"), ("#2563eb", "#ea580c"), strict=True):
    config = sngan.Config(
        data="digits", augment=augment, steps=STEPS, width=0.25, n_critic=1, batch_size=32,
        lr=1e-3, betas=(0.5, 0.999), ema_start=100, ema_decay=0.98, augment_images=20_000,
    )  # fmt: skip
    state, distances = TrainState.build(config, dataset), []
    for step in range(1, STEPS + 1):
        train_step(config, state)
        if step % EVERY == 0:
            distances.append(sngan.metrics.frechet_distance(samples(state).flatten(1), unseen))
    images = samples(state)
    ratio = sngan.metrics.copying_ratio(images.flatten(1), few.flatten(1) / 127.5 - 1)
    print(f"augment {augment:4s}: Fréchet {distances[-1]:.2f}, best {min(distances):.2f}, "
          f"copying ratio {ratio:.2f}")  # fmt: skip
    axes[0].plot(
        range(EVERY, STEPS + 1, EVERY), distances, color=colour, label=f"augment {augment}"
    )
    framed = torch.nn.functional.pad(images[:64, 0], (1, 1, 1, 1), value=-0.6)
    rows = [torch.cat([*framed[k : k + 8]], 1) for k in range(0, 64, 8)]
    panel.imshow(torch.cat(rows), cmap="gray_r", vmin=-1, vmax=1)
    panel.set(title=f"augment {augment}", xticks=[], yticks=[])
axes[0].set(title="Fréchet distance of pixels", xlabel="step", ylim=(0, None))
axes[0].legend(frameon=False)
plt.savefig(FOLDER / "small_data.png", dpi=100)
