"""Four distances of two uniform distributions, their derivatives, and a bracket of W1."""

import json
from pathlib import Path

import numpy as np

import sngan
from sngan.transport import landscape

WIDTHS = (0.0, 0.5, 1.0, 2.0)
SHIFTS = np.round(np.arange(-60, 61) * 0.05, 2)


def table(width: float) -> dict[str, list[float]]:
    """Return the distances and derivatives at all shifts; the one at a jump is written as 0."""
    found = landscape(SHIFTS, width=width)
    columns = {
        "js": found.jensen_shannon,
        "jsGradient": np.nan_to_num(found.jensen_shannon_gradient),
        "w1": found.wasserstein,
        "w1Gradient": found.wasserstein_gradient,
    }
    return {name: np.round(values, 6).tolist() for name, values in columns.items()}


def between_samples(width: float, shift: float) -> dict[str, float]:
    """Return the exact W1 between 400 evenly spread points and their shift, with its bracket."""
    points = (np.arange(400) + 0.5) / 400 * width
    found = sngan.wasserstein(points, points + shift)
    return {"distance": found.distance, "lower": found.lower, "upper": found.upper}


def check(width: float, shift: float) -> dict[str, object]:
    """Return what the page shows at a place, by the exact W1 and by sums over a fine grid."""
    cells = np.arange(-3, 5, 1e-3) + 5e-4
    p, q = ((cells > start) & (cells < start + width) for start in (0.0, shift))
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    js = sum(float((r[r > 0] * np.log(r[r > 0] / middle[r > 0])).sum()) / 2 for r in (p, q))
    return {
        "move": {"disjoint-width": str(width), "disjoint-shift": shift},
        "read": {"disjoint-w1": between_samples(width, shift)["distance"], "disjoint-js": js},
        "tolerance": 2e-3,
    }


if __name__ == "__main__":
    data = {
        "shifts": SHIFTS.tolist(),
        "widths": {str(width): table(width) for width in WIDTHS},
        "proved": between_samples(1.0, 2.0),
        "checks": [check(1.0, 0.4), check(0.5, -1.2), check(2.0, 1.5), check(1.0, 3.0)],
    }
    Path("disjoint.json").write_text(json.dumps(data))
