"""How large is the true spectral norm of a convolution?

Spectral normalization as in the paper divides by the norm of the kernel reshaped to a matrix. The
convolution itself can stretch an image more: up to the square root of the kernel's size, 3 for a
3×3 kernel. `operator_norm` bounds the stretch with a proof, for any stride and padding; the dense
matrix of the convolution, made here pixel by pixel, agrees. `kind="operator"` normalizes by it.

Run: python examples/convolution_norm.py  (about 6 s on two CPU cores)
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import sngan

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
SHAPE = (4, 10, 10)
torch.manual_seed(0)


def smooth():
    layer = nn.Conv2d(4, 4, 3, padding=1, bias=False)
    nn.init.constant_(layer.weight, 0.1)
    return layer


layers = {
    "3×3, all weights equal": smooth(),
    "3×3, random": nn.Conv2d(4, 4, 3, padding=1, bias=False),
    "3×3, circular": nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular", bias=False),
    "4×4, stride 2": nn.Conv2d(4, 8, 4, stride=2, padding=1, bias=False),
    "3×3, dilation 2": nn.Conv2d(4, 4, 3, padding=2, dilation=2, bias=False),
    "transposed 4×4, stride 2": nn.ConvTranspose2d(4, 4, 4, stride=2, padding=1, bias=False),
    "1×1": nn.Conv2d(4, 4, 1, bias=False),
}
rows = []
basis = torch.eye(400, dtype=torch.float64).reshape(-1, *SHAPE)
for name, layer in layers.items():
    kernel = float(sngan.spectral_norms(layer, iterations=200).popitem()[1])
    bound = float(sngan.operator_norm(layer, SHAPE))
    with torch.no_grad():
        dense = layer.double()(basis).flatten(1)  # row i: the response to pixel i
    truth = float(torch.linalg.matrix_norm(dense, 2))
    rows.append((name, truth / kernel, bound / kernel))
    print(f"{name:25s} kernel {kernel:.4f}  true {truth:.4f}  proved <= {bound:.4f}")

names, truths, bounds = zip(*rows, strict=True)
figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
places = np.arange(len(names))[::-1]
axes.barh(places + 0.19, truths, 0.36, color="#2563eb", label="true norm (dense matrix)")
axes.barh(places - 0.19, bounds, 0.36, color="#ea580c", label="proved by operator_norm")
axes.axvline(1, color="gray", lw=1, ls="--", label="norm of the reshaped kernel")
for place, truth in zip(places, truths, strict=True):
    axes.text(truth + 0.03, place + 0.19, f"{truth:.2f}", va="center")
axes.set(yticks=places, yticklabels=names, xlim=(0, 3.4))
axes.set(xlabel="norm, divided by that of the reshaped kernel")
axes.set(title="A convolution stretches more than its reshaped kernel")
axes.legend(frameon=False, loc="lower right")
plt.savefig(FOLDER / "convolution_norm.png", dpi=100)
