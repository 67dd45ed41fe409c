"""How do I give a trained generator to somebody else?

`sngan export` writes it as one file: a `.pt2` program that PyTorch opens without sngan, weights as
`.safetensors` that hold no code, a page of HTML with samples, and a model card. The script trains a
small run, exports it in all four ways, opens the program as a stranger would, and compares its
images with those of the run. `sngan morph` draws the way from one favourite to the next.

Run: python examples/export_and_share.py  (about 40 s on two CPU cores)
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from PIL import Image

import sngan

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
work = Path(tempfile.mkdtemp())
config = sngan.Config(
    data="digits",
    steps=600,
    width=0.25,
    n_critic=1,
    lr=1e-3,
    betas=(0.5, 0.999),
    ema_start=300,
    ema_decay=0.98,
    evaluation=sngan.config.EvaluationConfig(every=0),
    out=str(work / "run"),
)
run = sngan.train(config)


def sngan_command(*words):
    subprocess.run([sys.executable, "-m", "sngan", *words], cwd=work, check=True)


for ending in ("pt2", "safetensors", "html", "md"):
    sngan_command("export", "run", "--out", f"digits.{ending}")
sngan_command("morph", "run", "--seeds", "3,5,8", "--out", "morph.png")

# a stranger needs only torch for the program
program = torch.export.load(str(work / "digits.pt2")).module()
noise = torch.randn(5, config.model.latent_dim, generator=torch.Generator().manual_seed(1))
with torch.no_grad():
    error = (program(noise) - run.generator(noise)).abs().max()
copy = sngan.load(work / "digits.safetensors")
print(f"program of PyTorch: largest difference {error:.1e}")
print(f"safetensors: same images {torch.equal(copy.generate(9, seed=3), run.generate(9, seed=3))}")
for ending in ("pt2", "safetensors", "html", "md"):
    print(f"digits.{ending}: {(work / f'digits.{ending}').stat().st_size / 1000:.0f} kB")
card = (work / "digits.md").read_text()
print(f"card: {next(line for line in card.splitlines() if line.startswith('# '))}")

figure, axes = plt.subplots(figsize=(8, 2.4), layout="constrained")
axes.imshow(Image.open(work / "morph.png"), cmap="gray")
axes.set(title="From seed 3 to seed 5, and from 5 to 8: sngan morph", xticks=[], yticks=[])
plt.savefig(FOLDER / "export_and_share.png", dpi=100)
