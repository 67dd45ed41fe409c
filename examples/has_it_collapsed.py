"""How do I find out in code whether a run has collapsed?

`run.diagnose()` judges a run from its records, as `sngan doctor` does, and names the evidence and
flags to try. Two runs are compared: a plain GAN with a learning rate that is too high, and spectral
normalization with its usual settings. The data are eight clusters, so the truth can be counted: how
many of them hold generated points.

Run: python examples/has_it_collapsed.py  (about 60 s on two CPU cores)
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt

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
    run = sngan.train(sngan.Config(data="ring8", method=method, steps=2500, ema_start=0, out=out))
    points = run.generate(2000, seed=1)
    cover = sngan.metrics.mixture_coverage(points, ring)
    diagnosis = run.diagnose()
    print(f"{name}: {diagnosis.verdict}")
    print(f"{name}, counted: {cover.covered} of 8 clusters, {cover.high_quality:.1%} of the points")
    for illness in diagnosis.illnesses:
        print(f"  {illness.text()}")
    panel.scatter(*ring.centres.T, s=220, facecolors="none", edgecolors="#64748b", label="clusters")
    panel.scatter(*points.T, s=2, color="#ea580c", label="generated")
    verdict = diagnosis.verdict if len(diagnosis.verdict) < 40 else diagnosis.verdict[:37] + "…"
    panel.set(title=f"{name}\n{verdict}", aspect="equal", xlim=(-1.3, 1.3), ylim=(-1.3, 1.3))
    panel.set(xlabel="x₁", ylabel="x₂")
axes[0].legend(loc="center")
plt.savefig(FOLDER / "has_it_collapsed.png", dpi=100)
