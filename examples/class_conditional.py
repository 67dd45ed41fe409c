"""How do I choose the class of a generated image?

Train with `conditional=True` on data with labels. The critic then scores images by a projection on
the class (Miyato, Koyama 2018, arXiv:1802.05637), and the generator takes a label. Another
classifier, which has never seen a generated digit, checks afterwards that the digits are those that
were asked for.

Run: python examples/class_conditional.py  (about 35 s on two CPU cores)
"""

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from sklearn.svm import SVC

import sngan

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
config = sngan.Config(
    data="digits",
    conditional=True,
    steps=1500,
    width=0.25,
    n_critic=1,
    lr=1e-3,
    betas=(0.5, 0.999),
    ema_decay=0.99,
    evaluation=sngan.config.EvaluationConfig(every=0),
    out=str(Path(tempfile.mkdtemp()) / "run"),
)
run = sngan.train(config)

labels = torch.arange(10).repeat_interleave(50)
images = run.generate(500, seed=1, labels=labels)
one_class = run.generate(4, seed=2, labels=run.class_index("7"))
assert one_class.shape == (4, 1, 8, 8)

digits = sngan.data.open_source("digits")
real = digits.values(torch.arange(len(digits))).flatten(1)
classifier = SVC().fit(real[:1200], digits.labels[:1200])
on_real = classifier.score(real[1200:], digits.labels[1200:])
on_made = classifier.score(images.flatten(1), labels)
print(f"classifier right on unseen real digits: {on_real:.1%}")
print(f"classifier right on generated digits:   {on_made:.1%}")

figure, axes = plt.subplots(figsize=(7, 6), layout="constrained")
framed = torch.nn.functional.pad(images[:, 0], (1, 1, 1, 1), value=-0.6).unflatten(0, (10, 50))
axes.imshow(
    torch.cat([torch.cat([*row[:12]], 1) for row in framed]), cmap="gray_r", vmin=-1, vmax=1
)
axes.set(
    title=f"Digits by class: {on_made:.0%} are recognized", ylabel="the label that was asked for"
)
axes.set(yticks=[10 * d + 4.5 for d in range(10)], yticklabels=range(10), xticks=[])
plt.savefig(FOLDER / "class_conditional.png", dpi=100)
