"""The distances of two uniform distributions at 31 shifts, for the thing to move."""

import json
from math import log
from pathlib import Path

import torch

import sngan

points = torch.linspace(0, 1, 65)[:, None]
shifts = [round(0.1 * k, 1) for k in range(31)]
w1 = [round(sngan.wasserstein(points, points + shift).distance, 6) for shift in shifts]
js = [round(min(shift, 1) * log(2), 6) for shift in shifts]
checks = [
    {"move": {"disjoint-shift": shift}, "read": {"disjoint-w1": shift}, "tolerance": 2e-3}
    for shift in (0.0, 0.7, 2.0)
]
data = {"shifts": shifts, "w1": w1, "js": js, "checks": checks}
Path("disjoint.json").write_text(json.dumps(data))
