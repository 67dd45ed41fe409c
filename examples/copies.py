"""Does my generator only copy its training images?

Three measures tell it apart, all from distances to the nearest training image. Here the
"generators" are known: one returns training digits with a little noise, another returns copies for
a third of its images, and the last one is perfect, because its digits are real ones that nobody has
seen. The copying ratio, a median, is near 0 for copies and near 1 for new images; the share of
images that are suspiciously near reveals a few copies as well.

Run: python examples/copies.py  (about 4 s on two CPU cores)
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn

from sngan import data, metrics

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
torch.manual_seed(0)
digits = data.open_source("digits")
images = digits.values(torch.randperm(len(digits))).flatten(1)
training, unseen = images[:1000], images[1000:1500]
copied = training[torch.randint(1000, (500,))]
generators = {
    "copies with noise": copied + 0.05 * torch.randn(500, 64),
    "a third of them copies": torch.cat([copied[:167], unseen[:333]]),
    "new images": unseen,
}

figure, axes = plt.subplots(3, 1, figsize=(8, 4.8), layout="constrained")
for row, (name, made) in zip(axes, generators.items(), strict=True):
    ratio = metrics.copying_ratio(made, training)
    authentic = metrics.authpct(made, training)
    nearest = metrics.nearest_neighbours(made, training)
    usual = metrics.nearest_neighbours(unseen, training).distances.quantile(0.02)
    near = float((nearest.distances[:, 0] < usual).double().mean())
    print(
        f"{name:22s} copying ratio {ratio:.3f}, authentic {authentic:.1f} %, "
        f"nearer than 98 % of new images: {near:.1%}"
    )
    shown = torch.linspace(0, 499, 13).long()
    both = torch.stack([made[shown], training[nearest.indices[shown, 0]]]).reshape(2, -1, 8, 8)
    framed = nn.functional.pad(both, (1, 1, 1, 1), value=-0.6)
    strip = torch.cat([torch.cat([*images], 1) for images in framed])
    row.imshow(strip, cmap="gray_r", vmin=-1, vmax=1)
    row.set(title=f"{name}: copying ratio {ratio:.2f}", xticks=[])
    row.set(yticks=[4.5, 14.5], yticklabels=["generated", "nearest training image"])
plt.savefig(FOLDER / "copies.png", dpi=100)
