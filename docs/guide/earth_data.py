"""All plans that take six boxes to six goals, for eight places of the goals."""

import json
from itertools import permutations
from pathlib import Path

import numpy as np

import sngan
from sngan.transport import explain

BOXES = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 3.0])
GOALS = np.array([0.0, 1.0, 1.0, 2.0, 3.0, 3.0])
WEIGHTS_X = np.array([3, 2, 1]) / 6
WEIGHTS_Y = np.array([1, 2, 1, 2]) / 6


def all_plans() -> dict[bytes, tuple[int, ...]]:
    """Return each table of whole boxes once, with an order of the goals that gives it."""
    found: dict[bytes, tuple[int, ...]] = {}
    for order in permutations(range(6)):
        found.setdefault(as_table(order).tobytes(), order)
    return found


def as_table(order: tuple[int, ...]) -> np.ndarray:
    """Return the table (3, 4) of the plan that takes box k to the goal ``order[k]``."""
    table = np.zeros((3, 4), dtype=int)
    for box, goal in enumerate(order):
        table[int(BOXES[box]) - 1, int(GOALS[goal])] += 1
    return table


def costs(first: float) -> dict[tuple[int, ...], float]:
    """Return the cost of each plan, if the first goal is at ``first``."""
    return {
        order: float(np.abs(BOXES - GOALS[list(order)] - first).sum())
        for order in all_plans().values()
    }


def cheapest(first: float) -> sngan.transport.WassersteinResult:
    """Return the library's cheapest plan and its bracket, for one box in all."""
    places = np.arange(4.0) + first
    return sngan.wasserstein(
        np.array([1.0, 2.0, 3.0]), places, weights_x=WEIGHTS_X, weights_y=WEIGHTS_Y
    )


def goals_at(first: float) -> dict[str, object]:
    """Return the cheapest and the dearest plan, and how many plans cost no more."""
    price, proof = costs(first), cheapest(first)
    best, worst = min(price, key=price.__getitem__), max(price, key=price.__getitem__)
    return {
        "cheapest": best,
        "dearest": worst,
        "cost": round(6 * proof.distance, 9),
        "lower": 6 * proof.lower,
        "upper": 6 * proof.upper,
        "worst": price[worst],
        "best_plans": sum(cost == price[best] for cost in price.values()),
    }


def check(first: int, order: tuple[int, ...]) -> dict[str, object]:
    """Return what the page shows after box k went to the goal ``order[k]``, for growing k."""
    text = explain(
        np.array([1.0, 2.0, 3.0]),
        np.arange(4.0) + first,
        weights_x=WEIGHTS_X,
        weights_y=WEIGHTS_Y,
        plan=as_table(order) / 6,
        total=6,
    )
    cost, least = (float(line.split()[-1]) for line in text.splitlines()[-2:])
    moves = {f"earth-box{box + 1}": goal + 1 for box, goal in enumerate(order)}
    return {
        "move": {"earth-first": first} | moves,
        "read": {"earth-cost": cost, "earth-cheapest": least},
        "tolerance": 1e-6,
    }


if __name__ == "__main__":
    data = {
        "boxes": BOXES.tolist(),
        "goals": GOALS.tolist(),
        "plans": len(all_plans()),
        "first": {str(first): goals_at(first) for first in range(8)},
        "checks": [
            check(7, (5, 4, 3, 2, 1, 0)),
            check(0, (5, 4, 3, 2, 1, 0)),
            check(0, (0, 1, 2, 3, 4, 5)),
            check(2, (2, 0, 4, 1, 5, 3)),
        ],
    }
    Path("earth.json").write_text(json.dumps(data))
