"""The change of coordinates, a trajectory beside torch's, the cost, and the settings A to F."""

import copy
import json
import math
import statistics
import time
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from sngan import SpectralNorm, losses

RECORDS = Path(__file__).resolve().parents[2] / "benchmarks/results/records/claim"
TARGET = (1.4, 0.9)  # the loss is half of the squared distance of the normalized weight from it
SIZES = (0.5, 1.0, 2.0)
ANGLES = range(0, 360, 5)
UPDATES = 100


def raw_gradient(angle, size):
    """Return both gradients of a weight (1×2): the normalized one's, and the raw one's."""
    radians = math.radians(angle)
    layer = nn.Linear(2, 1, bias=False, dtype=torch.float64)
    layer.weight.data = size * torch.tensor(
        [[math.cos(radians), math.sin(radians)]], dtype=torch.float64
    )
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.0)  # the hooks act, the weight stays
    SpectralNorm(layer, optimizer)
    (layer.weight - torch.tensor([TARGET], dtype=torch.float64)).square().sum().div(2).backward()
    before = layer.weight.grad[0].tolist()
    optimizer.step()
    return before, layer.weight.grad[0].tolist()


def walk(size, steps=25, rate=0.3):
    """Return the raw weight along gradient descent from 150 degrees, by the library."""
    layer = nn.Linear(2, 1, bias=False, dtype=torch.float64)
    start = math.radians(150)
    layer.weight.data = size * torch.tensor(
        [[math.cos(start), math.sin(start)]], dtype=torch.float64
    )
    optimizer = torch.optim.SGD(layer.parameters(), lr=rate)
    norm, way = SpectralNorm(layer, optimizer), []
    for _ in range(steps + 1):
        sigma = next(iter(norm.sigmas().values())).item()
        way.append([round(sigma * v, 4) for v in layer.weight.detach()[0].tolist()])
        optimizer.zero_grad()
        (layer.weight - torch.tensor([TARGET], dtype=torch.float64)).square().sum().div(
            2
        ).backward()
        optimizer.step()
    return way


def mlp(width):
    """Return a critic of points with two hidden layers."""
    torch.manual_seed(0)
    sizes = (2, width, width, 1)
    layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def critic_step(net, optimizer, real, fake):
    """Update a critic once by the hinge loss."""
    optimizer.zero_grad()
    both = net(torch.cat([real, fake]))
    losses.hinge.critic(*both.chunk(2)).backward()
    optimizer.step()


def trajectory():
    """Return the largest difference of a weight from torch's over the updates, and the way gone."""
    theirs = mlp(64).double()
    for layer in theirs[::2]:
        spectral_norm(layer)
    for _ in range(500):  # torch's power iteration converges to the norms of the first weights
        theirs(torch.zeros(1, 2, dtype=torch.float64))
    ours = copy.deepcopy(theirs)
    pairs = [
        (net, torch.optim.Adam(net.parameters(), lr=2e-3, betas=(0.0, 0.9)))
        for net in (ours, theirs)
    ]
    SpectralNorm.from_parametrized(*pairs[0])
    start, largest = copy.deepcopy(ours.state_dict()), 0.0
    for _ in range(UPDATES):
        real, fake = torch.randn(2, 128, 2, dtype=torch.float64)
        for pair in pairs:
            critic_step(*pair, real + 1, fake - 1)
        raw = [
            (a.weight, b.parametrizations.weight.original)
            for a, b in zip(ours[::2], theirs[::2], strict=True)
        ]
        gaps = [(a / a.norm() - b / b.norm()).abs().max() for a, b in raw]
        largest = max(largest, *(gap.item() for gap in gaps))
    way = max((ours.state_dict()[key] - start[key]).abs().max().item() for key in start)
    return {"updates": UPDATES, "difference": largest, "way": way}


def cnn(width):
    """Return a critic of 32×32 images with three convolutions."""
    torch.manual_seed(0)
    sizes = (3, width, 2 * width, 4 * width)
    layers = [part for a, b in pairwise(sizes) for part in (nn.Conv2d(a, b, 4, 2, 1), nn.ReLU())]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * width, 1))


def cost(build, inputs, rounds):
    """Return the CPU time of a critic step of each kind over that without normalization."""
    least, steps = {}, {}
    for name in ("none", "sngan", "torch"):
        net = build()
        if name == "torch":
            for layer in net:
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    spectral_norm(layer)
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
        kept = SpectralNorm(net, optimizer) if name == "sngan" else None
        steps[name] = (net, optimizer, kept)
    for name in rounds * ("none", "sngan", "torch"):
        start = time.process_time()
        critic_step(*steps[name][:2], inputs, inputs + 1)
        least[name] = min(least.get(name, 99.0), time.process_time() - start)
    return {name: round(least[name] / least["none"], 2) for name in least}


def settings():
    """Return each method's mean Fréchet distance in the settings A to F, from the kept records."""
    found = {}
    for path in sorted(RECORDS.glob("*.json")):
        record = json.loads(path.read_text())
        cell = found.setdefault(record["settings"]["method"], {}).setdefault(
            record["settings"]["setting"], []
        )
        cell.append(record["result"]["frechet"])
    return {
        method: {
            name: round(statistics.mean(cells[name]), 2) if name in cells else None
            for name in "ABCDEF"
        }
        for method, cells in found.items()
    }


def main():
    """Compute all numbers and write them."""
    gradients = {str(size): [raw_gradient(angle, size)[1] for angle in ANGLES] for size in SIZES}
    normalized = [raw_gradient(angle, 1.0)[0] for angle in ANGLES]
    checks = []
    for angle, size in ((45, 1.0), (150, 2.0), (300, 0.5), (90, 2.0)):
        before, raw = raw_gradient(angle, size)
        read = {
            "spectral_normalization-g": math.hypot(*before),
            "spectral_normalization-raw": math.hypot(*raw),
        }
        move = {"spectral_normalization-size": str(size), "spectral_normalization-angle": angle}
        checks.append({"move": move, "read": read, "tolerance": 1e-3})
    table = settings()
    checks += [
        {
            "move": {"spectral_normalization-method": method},
            "read": {
                "spectral_normalization-best": min(v for v in cells.values() if v is not None)
            },
            "tolerance": 1e-2,
        }
        for method, cells in table.items()
        if method in ("sn", "wgan-gp", "vanilla")
    ]
    Path("spectral_normalization.json").write_text(
        json.dumps(
            {
                "target": TARGET,
                "normalized": [[round(v, 5) for v in pair] for pair in normalized],
                "gradients": {
                    size: [[round(v, 5) for v in pair] for pair in rows]
                    for size, rows in gradients.items()
                },
                "walks": {str(size): walk(size) for size in SIZES},
                "trajectory": trajectory(),
                "cost": {
                    "points": cost(lambda: mlp(256), torch.randn(256, 2), 60),
                    "images": cost(lambda: cnn(32), torch.randn(32, 3, 32, 32), 10),
                },
                "settings": table,
                "best": {
                    method: min(v for v in cells.values() if v is not None)
                    for method, cells in table.items()
                },
                "middle": {
                    method: statistics.median(v for v in cells.values() if v is not None)
                    for method, cells in table.items()
                },
                "checks": checks,
            }
        )
    )


if __name__ == "__main__":
    main()
