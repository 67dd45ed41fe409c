"""Do two data sets differ, or is their distance only chance?

Two samples of one distribution are apart too, and in 64 dimensions far apart. So a Wasserstein
distance means little alone: `compare_samples` puts beside it the distances between halves of each
sample, a 95 % interval, and a permutation test. Three pairs of handwritten digits are compared:
two random samples, one of them slightly darker, and threes against eights.

Run: python examples/distance_of_data.py  (about 10 s on two CPU cores)
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import sngan
from sngan.transport import compare_samples

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
N = 150
digits = sngan.data.open_source("digits")
order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))
mixed = digits.values(order).flatten(1)
threes, eights = (digits.values(order[digits.labels[order] == d]).flatten(1)[:N] for d in (3, 8))
pairs = {
    "two samples": (mixed[:N], mixed[N : 2 * N]),
    "one darker by a tenth": (mixed[:N], mixed[N : 2 * N] - 0.2),
    "threes and eights": (threes, eights),
}

figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
for place, (name, (x, y)) in enumerate(pairs.items()):
    exact = sngan.wasserstein(x, y)
    found = compare_samples(x, y, permutations=99)
    low, high = found.interval
    print(
        f"{name:22s} W1 {exact.distance:.4f}, 95 % interval [{low:.4f}, {high:.4f}], halves: "
        f"within {found.within_x:.3f} and {found.within_y:.3f}, between {found.between:.3f}, "
        f"p = {found.p_value:.2f}"
    )
    label = ("W1 with its 95 % interval", "halves of one sample", "halves of both samples")
    if place:
        label = (None, None, None)
    error = [[exact.distance - low], [high - exact.distance]]
    axes.errorbar(place, exact.distance, error, fmt="o", color="#2563eb", capsize=5, label=label[0])
    within = (found.within_x, found.within_y)
    axes.scatter([place + 0.12] * 2, within, marker="_", s=200, color="#64748b", label=label[1])
    between = found.between
    axes.scatter(place + 0.12, between, marker="_", s=200, color="#ea580c", label=label[2])
    verdict = "they differ" if found.p_value <= 0.05 else "no difference shown"
    axes.text(place, 6.1, f"p = {found.p_value:.2f}:\n{verdict}", ha="center", va="top")
axes.set(
    title="Distances of 150 digits from 150 others", ylabel="distance, in units of pixel values"
)
axes.set(xticks=range(3), xticklabels=list(pairs), xlim=(-0.5, 2.5), ylim=(2.4, 6.2))
axes.legend(loc="upper left", bbox_to_anchor=(0, 0.86), frameon=False)
plt.savefig(FOLDER / "distance_of_data.png", dpi=100)
