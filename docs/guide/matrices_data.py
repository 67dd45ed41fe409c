"""Norms of 2×2 matrices, and of a family of 3×3 convolutions, as the library computes them."""

import json
from pathlib import Path

import torch
from torch import nn

import sngan

SIDE, PLACES = 32, 15
PRESETS = {  # name: the four entries, and the angle of the vector in degrees
    "stretch": ([2.0, 0.0, 0.0, 0.5], 0),
    "shear": ([1.0, 1.5, 0.0, 1.0], 60),
    "rotation": ([0.6, -0.8, 0.8, 0.6], 30),
    "flattening": ([1.2, 0.6, 0.6, 0.3], 120),
}
KERNELS = {  # start and end of each family of kernels
    "blur": ([[0, 0, 0], [0, 1, 0], [0, 0, 0]], [[1, 1, 1], [1, 1, 1], [1, 1, 1]]),
    "edge": ([[0, 0, 0], [0, 1, 0], [0, 0, 0]], [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    "corner": ([[0, 0, 0], [0, 1, 0], [0, 0, 0]], [[1, -1, 0], [-1, 1, 0], [0, 0, 0]]),
}


def matrix_check(entries, degrees):
    """Return the norms of a matrix from the library, and the stretch of one direction."""
    layer = nn.Linear(2, 2, bias=False, dtype=torch.float64)
    layer.weight.data = torch.tensor(entries, dtype=torch.float64).view(2, 2)
    angle = torch.deg2rad(torch.tensor(float(degrees), dtype=torch.float64))
    stretched = layer(torch.stack([angle.cos(), angle.sin()])).norm().item()
    names = ("a", "b", "c", "d")
    return {
        "move": {f"matrices-{name}": value for name, value in zip(names, entries, strict=True)}
        | {"matrices-angle": degrees},
        "read": {
            "matrices-sigma": round(sngan.operator_norm(layer, (2,)).item(), 6),
            "matrices-of-x": round(stretched, 6),
        },
        "tolerance": 1e-3,
    }


def norms(kernel):
    """Return the kernel's norms: as a matrix, as a map of 32×32 images, and a proved bound."""
    layer = nn.Conv2d(1, 1, 3, padding=1, bias=False, dtype=torch.float64)
    layer.weight.data[0, 0] = kernel
    matrix = sngan.spectral_norms(layer)[""].item()
    exact = sngan.operator_norm(layer, (1, SIDE, SIDE), method="exact").item()
    proved = sngan.operator_norm(layer, (1, SIDE, SIDE), method="upper_bound").item()
    return {
        "kernel": [round(v, 4) for v in (kernel / matrix).flatten().tolist()],
        "matrix": 1,
        "exact": round(exact / matrix, 5),
        "proved": round(proved / matrix, 5),
    }


def family(start, end):
    """Return the norms along the way from one kernel to another."""
    first, last = (torch.tensor(k, dtype=torch.float64) for k in (start, end))
    last = last / last.abs().max()
    return [norms((1 - k / PLACES) * first + k / PLACES * last) for k in range(PLACES + 1)]


def main():
    """Compute all numbers and write them."""
    families = {name: family(*ends) for name, ends in KERNELS.items()}
    checks = [matrix_check(*preset) for preset in PRESETS.values()]
    checks += [
        {
            "move": {"matrices-family": name, "matrices-share": share},
            "read": {"matrices-exact": families[name][share]["exact"]},
            "tolerance": 1e-3,
        }
        for name, share in (("blur", PLACES), ("blur", 5), ("edge", PLACES), ("corner", 10))
    ]
    Path("matrices.json").write_text(
        json.dumps(
            {
                "presets": {name: [*entries, angle] for name, (entries, angle) in PRESETS.items()},
                "places": PLACES,
                "families": families,
                "first": families["blur"][0],
                "last": families["blur"][-1],
                "edge": families["edge"][-1],
                "checks": checks,
            }
        )
    )


if __name__ == "__main__":
    main()
