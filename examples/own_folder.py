"""How do I train on a folder of my own pictures?

Give its path. Sizes, colours and formats may be mixed, broken files are skipped and listed, and
folders inside count as classes, which `conditional=True` uses. This script first draws a folder of
300 small pictures, balls and boxes on grey, with one broken file; then it trains on them and draws
new ones of each class.

Run: python examples/own_folder.py  (about 45 s on two CPU cores)
"""

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image, ImageDraw

import sngan

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
work = Path(tempfile.mkdtemp())
random = np.random.default_rng(0)
for number in range(300):
    side = int(random.integers(32, 64))
    picture = Image.new("RGB", (side + 8, side), (220, 220, 220))
    x, y, r = side / 2 + random.uniform(-4, 4), side / 2, side * random.uniform(0.25, 0.35)
    draw, box = ImageDraw.Draw(picture), (x - r, y - r, x + r, y + r)
    if number % 2:
        draw.ellipse(box, fill=(230, int(random.integers(60, 140)), 20))
    else:
        draw.rectangle(box, fill=(30, int(random.integers(60, 140)), 200))
    name = "balls" if number % 2 else "boxes"
    (work / "pictures" / name).mkdir(parents=True, exist_ok=True)
    picture.save(work / "pictures" / name / f"{number}.{('jpg', 'png')[number % 4 // 2]}")
(work / "pictures" / "balls" / "broken.png").write_bytes(b"not a picture")

config = sngan.Config(
    data=str(work / "pictures"),
    resolution=16,
    conditional=True,
    steps=1200,
    width=0.25,
    batch_size=32,
    n_critic=1,
    lr=1e-3,
    betas=(0.5, 0.999),
    ema_decay=0.99,
    evaluation=sngan.config.EvaluationConfig(every=0),
    out=str(work / "run"),
)
run = sngan.train(config)
classes = [run.class_index(name) for name in ("balls", "boxes")]
images = run.generate(64, seed=0, labels=torch.tensor(classes).repeat_interleave(32))
real = sngan.data.open_source(str(work / "pictures"), resolution=16)
values = real.values(torch.arange(len(real)))
print(f"pictures read: {len(real)}, skipped: {[Path(one.name).name for one in real.skipped]}")
for name, made, drawn in (
    ("balls", images[:32], values[:150]),
    ("boxes", images[32:], values[150:]),
):
    colours = [[round(c, 2) for c in batch.mean((0, 2, 3)).tolist()] for batch in (drawn, made)]
    print(f"mean colour of {name}: in the folder {colours[0]}, generated {colours[1]}")
print(f"report: {run.folder.name}/report.html is there: {(run.folder / 'report.html').exists()}")

figure, axes = plt.subplots(1, 2, figsize=(8, 4.3), layout="constrained")
chosen = values[torch.linspace(0, len(real) - 1, 64).long()]
for panel, (name, batch) in zip(
    axes, {"the folder": chosen, "generated": images}.items(), strict=True
):
    rows = [torch.cat([*batch[k : k + 8]], 2) for k in range(0, 64, 8)]
    panel.imshow((torch.cat(rows, 1).permute(1, 2, 0) * 0.5 + 0.5).clamp(0, 1))
    panel.set(title=name, xticks=[], yticks=[])
plt.savefig(FOLDER / "own_folder.png", dpi=100)
