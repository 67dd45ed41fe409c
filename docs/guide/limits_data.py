"""Bounds and slopes of critics over their depth, norms of convolutions, and the paper's claims."""

import json
import math
import statistics
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

import sngan
from sngan import SpectralNorm, losses
from sngan.data import open_source
from sngan.lipschitz import blocks
from sngan.models.attention import SelfAttention

RECORDS = Path(__file__).resolve().parents[2] / "benchmarks/results/records"
DEPTHS, WIDTH, UPDATES = range(1, 5), 16, 100


def relu_critic(depth):
    """Return a critic of points with this many hidden layers, with ReLU."""
    sizes = [2] + depth * [WIDTH]
    layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 1))


def sorting_critic(depth):
    """Return a critic of points whose layers are orthogonal, with sorting in place of ReLU."""
    sizes = [2] + depth * [WIDTH]
    layers = [
        part
        for a, b in pairwise(sizes)
        for part in (blocks.orthogonal_linear(a, b), blocks.MaxMin())
    ]
    return nn.Sequential(*layers, blocks.orthogonal_linear(WIDTH, 1))


def clouds(n):
    """Draw points of a ring of eight clouds, and of the same ring with wider clouds."""
    angles = torch.randint(8, (2, n)) * (math.pi / 4)
    centres = torch.stack([angles.cos(), angles.sin()], dim=2)
    return centres + torch.tensor([0.02, 0.3])[:, None, None] * torch.randn(2, n, 2)


def trained(critic, *, normalized):
    """Train a critic between narrow and wide clouds of points, and return its bounds."""
    optimizer = torch.optim.Adam(critic.parameters(), lr=2e-3, betas=(0.0, 0.9))
    norm = (
        SpectralNorm(critic, optimizer, kind="operator", input_shape=(2,)) if normalized else None
    )
    for _ in range(UPDATES):
        real, fake = clouds(128)
        optimizer.zero_grad()
        losses.wasserstein.critic(critic(real), critic(fake)).backward()
        optimizer.step()
    if norm is not None:
        norm.certify()
    # the semidefinite program takes seconds, and gains little where all singular values are 1
    slopes = "sdp" if normalized else "eclipse"
    bounds = sngan.lipschitz_bounds(critic, (2,), slopes=slopes, samples=64, rounds=6)
    # rounded outwards, so that the bracket stays one
    return {
        "product": math.ceil(bounds.product * 1e5) / 1e5,
        "proved": math.ceil(bounds.upper * 1e5) / 1e5,
        "attained": math.floor(bounds.lower * 1e5) / 1e5,
    }


def critics():
    """Return the bounds of both kinds of critic over the depth."""
    found = {"relu": [], "sorting": []}
    for depth in DEPTHS:
        torch.manual_seed(depth)
        found["relu"].append(trained(relu_critic(depth), normalized=True))
        found["sorting"].append(trained(sorting_critic(depth), normalized=False))
    return found


def convolutions(kind):
    """Return the product of the true norms of three convolutions of a critic of digits."""
    torch.manual_seed(0)
    digits = open_source("digits").values(torch.arange(512))
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()]
    critic = nn.Sequential(
        *layers, nn.Conv2d(16, 16, 3, padding=1), nn.Flatten(), nn.Linear(1024, 1)
    )
    optimizer = torch.optim.Adam(critic.parameters(), lr=2e-3, betas=(0.0, 0.9))
    norm = SpectralNorm(
        critic, optimizer, kind=kind, input_shape=(1, 8, 8) if kind == "operator" else None
    )
    for _ in range(50):
        real = digits[torch.randint(512, (32,))]
        optimizer.zero_grad()
        losses.hinge.critic(critic(real), critic(torch.rand_like(real) * 2 - 1)).backward()
        optimizer.step()
    if kind == "operator":
        norm.certify()
    maps = ((critic[0], (1, 8, 8)), (critic[2], (16, 8, 8)), (critic[4], (16, 8, 8)))
    norms = [sngan.spectral.certified_norm(layer, shape).norm for layer, shape in maps]
    return {"norms": norms, "product": math.prod(norms)}


def attention():
    """Return the largest slopes of attention at inputs up to a length, and the proved bound."""
    torch.manual_seed(0)
    block = SelfAttention(16).double()
    block.gamma.data.fill_(1.0)
    SpectralNorm(block, torch.optim.SGD(block.parameters(), lr=0.1))
    bounds = sngan.lipschitz_bounds(block, (16, 2, 2), lower=False)
    directions = nn.functional.normalize(torch.randn(50, 64).double())
    slopes, largest = {}, 0.0
    for size in (1, 16, 128):  # three points of the figure
        points = (size * directions).unflatten(1, (16, 2, 2))
        jacobians = [
            torch.autograd.functional.jacobian(block, p[None]).view(64, 64) for p in points
        ]
        largest = max(largest, *(torch.linalg.matrix_norm(j, 2).item() for j in jacobians))
        slopes[str(size)] = largest
    return {
        "proved": "no bound" if math.isinf(bounds.upper) else f"{bounds.upper:.3g}",
        "slopes": slopes,
    }


def claims():
    """Return the numbers of the paper's claims from the kept records, and whether they hold."""
    runs = [json.loads(path.read_text()) for path in sorted((RECORDS / "claim").glob("*.json"))]
    cells = {}
    for run in runs:
        own = cells.setdefault(run["settings"]["method"], {})
        own.setdefault(run["settings"]["setting"], []).append(run["result"]["frechet"])
    means = {
        method: {s: statistics.mean(v) for s, v in own.items()} for method, own in cells.items()
    }
    middle = {m: statistics.median(v for s in cells[m].values() for v in s) for m in cells}
    sn, better = (
        means["sn"],
        [s for s in means["sn"] if means["bn"].get(s, math.inf) < means["sn"][s]],
    )
    others = sorted((v, m) for m, v in middle.items() if not m.startswith("sn"))
    return {
        "runs": len(runs),
        "seeds": len({run["settings"]["seed"] for run in runs}),
        "sn": middle["sn"],
        "gp": middle["wgan-gp"],
        "clip": middle["wgan"],
        "wn": middle["wn"],
        "bn": middle["bn"],
        "rivals_beaten": sum(v > middle["sn"] for v, _ in others),
        "rivals": len(others),
        "bn_better": len(better),
        "both": len([s for s in sn if s in means["bn"]]),
        "f": sn["F"],
        "f_gp": means["wgan-gp"]["F"],
        "best": min(sn.values()),
        "depth": DEPTHS[-1],
        "most": "holds"
        if sum(v > middle["sn"] for v, _ in others) > len(others) / 2
        else "does not hold",
        "robust": "holds" if middle["sn"] < middle["wgan-gp"] else "does not hold",
        "batch": "holds" if middle["sn"] < middle["bn"] else "does not hold",
        "all_settings": "holds" if max(sn.values()) <= 4 * min(sn.values()) else "does not hold",
        "modes": modes(),
    }


def modes():
    """Return the modes of grid25 that each method covers, the mean over seeds."""
    found = {}
    for path in sorted((RECORDS / "modes").glob("grid25-*.json")):
        run = json.loads(path.read_text())
        found.setdefault(run["settings"]["method"]["name"].replace("-", "_"), []).append(
            run["result"]["modes"]
        )
    return {name: {"mean": statistics.mean(v), "seeds": len(v)} for name, v in found.items()}


def main():
    """Compute all numbers and write them."""
    found = critics()
    last = len(DEPTHS) - 1
    checks = [
        {
            "move": {"limits-kind": kind, "limits-depth": DEPTHS[at]},
            "read": {
                "limits-proved": found[kind][at]["proved"],
                "limits-attained": found[kind][at]["attained"],
            },
            "tolerance": 1e-3,
        }
        for kind, at in (("relu", 0), ("relu", 1), ("relu", last), ("sorting", last))
    ]
    Path("limits.json").write_text(
        json.dumps(
            {
                "depths": list(DEPTHS),
                "critics": found,
                "deep": {kind: rows[-1] for kind, rows in found.items()},
                "shallow": {kind: rows[0] for kind, rows in found.items()},
                "convolutions": {kind: convolutions(kind) for kind in ("matrix", "operator")},
                "attention": attention(),
                "claims": claims(),
                "checks": checks,
            }
        )
    )


if __name__ == "__main__":
    main()
