"""How do I find out in code whether a run has collapsed?

`run.diagnose()` judges a run from its records, as `sngan doctor` does, and names the evidence and
flags to try. Two runs are compared: a plain GAN with a learning rate that is too high, and spectral
normalization with its usual settings. The data are eight clusters, so the truth can be counted: how
many of them have generated points near, within 0.15 of their centre.

Run: python examples/has_it_collapsed.py  (about 50 s on two CPU cores)
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import sngan

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
ring = sngan.data.MIXTURES["ring8"]
methods = {
    "plain GAN, lr 5e-3": replace(sngan.METHODS["vanilla"], lr=5e-3, betas=(0.9, 0.999)),
    "spectral normalization": sngan.METHODS["sn"],
}

figure, axes = plt.subplots(1, 2, figsize=(8, 4.2), layout="constrained")
for panel, (name, method) in zip(axes, methods.items(), strict=True):
    out = str(Path(tempfile.mkdtemp()) / "run")
    config = sngan.Config(data="ring8", method=method, steps=2500, ema_start=0, out=out)
    run = sngan.train(config)
    points = run.generate(2000, seed=1)
    distances, nearest = torch.cdist(points, ring.centres).min(1)
    near = nearest[distances < 0.15]
    found = int((near.bincount(minlength=8) >= 20).sum())
    diagnosis = run.diagnose()
    print(f"{name}: {diagnosis.verdict}")
    print(f"{name}, counted: {found} of 8 clusters, {len(near) / 2000:.1%} of the points near one")
    for illness in diagnosis.illnesses:
        print(f"  {illness.text()}")
    panel.scatter(*ring.centres.T, s=220, facecolors="none", edgecolors="#64748b", label="clusters")
    panel.scatter(*points.T, s=2, color="#ea580c", label="generated")
    verdict = diagnosis.verdict if len(diagnosis.verdict) < 40 else diagnosis.verdict[:37] + "…"
    panel.set(title=f"{name}\n{verdict}", aspect="equal", xlim=(-1.3, 1.3), ylim=(-1.3, 1.3))
    panel.set(xlabel="x₁", ylabel="x₂")
axes[0].legend(loc="upper right", fontsize=8)
plt.savefig(FOLDER / "has_it_collapsed.png", dpi=100)
