"""How much does it cost to move six boxes, and does the plan matter?

Six boxes stand at the places 1, 2 and 3 and must go to 7, 8, 9 and 10. Two very different plans
both cost 42: every box moves to the right, so each plan costs the sum of the new places minus that
of the old ones. The plan matters as soon as a box may move to the left: if the boxes stand at 1, 9
and 10 instead, the careless plan costs 31, and the cheapest one 21. Potentials prove that no plan
is cheaper.

Run: python examples/six_boxes.py  (about 3 s on two CPU cores)
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import sngan
from sngan.transport import explain

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
BOXES, SPACE = np.array([3, 2, 1]), np.array([1, 2, 1, 2])  # boxes at each place, before and after
TARGETS = np.array([7.0, 8.0, 9.0, 10.0])
ORDERLY = np.array([[1, 2, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]])  # row: from, column: to
CARELESS = np.array([[0, 0, 1, 2], [0, 2, 0, 0], [1, 0, 0, 0]])


def cost(places, plan):
    return (plan * abs(places[:, None] - TARGETS)).sum()


def draw(axes, places, plan, title):
    axes.bar(places, BOXES, 0.8, color="#2563eb", alpha=0.7, label="boxes before")
    axes.bar(TARGETS, -SPACE, 0.8, color="#ea580c", alpha=0.7, label="boxes after")
    for i, j in np.argwhere(plan > 1e-9):
        arrow = {"arrowstyle": "->", "lw": 1.2 * plan[i, j], "color": "#334155"}
        axes.annotate("", (TARGETS[j], -SPACE[j] / 2), (places[i], BOXES[i] / 2), arrowprops=arrow)
    axes.axhline(0, color="gray", lw=0.8)
    axes.set(title=title, xlabel="place", ylabel="boxes", xticks=range(1, 11), ylim=(-2.4, 3.4))


figure, axes = plt.subplots(2, 2, figsize=(8, 6), layout="constrained")
for row, places in zip(axes, (np.array([1.0, 2.0, 3.0]), np.array([1.0, 9.0, 10.0])), strict=True):
    best = sngan.wasserstein(places, TARGETS, weights_x=BOXES / 6, weights_y=SPACE / 6)
    plan = 6 * best.plan.toarray()
    dual = 6 * (BOXES / 6 @ best.potential_x + SPACE / 6 @ best.potential_y)
    print(f"boxes at {places}: leave {plan.sum(1).round(6)}, reach {plan.sum(0).round(6)}")
    print(f"  orderly plan costs {cost(places, ORDERLY):g}")
    print(f"  careless plan costs {cost(places, CARELESS):g}")
    print(f"  cheapest plan costs {6 * best.distance:g}, proved by potentials: {dual:g}")
    draw(row[0], places, CARELESS, f"careless plan: cost {cost(places, CARELESS):g}")
    draw(row[1], places, plan, f"cheapest plan: cost {6 * best.distance:g}")
print(explain(places, TARGETS, weights_x=BOXES / 6, weights_y=SPACE / 6, total=6))
axes[0, 0].legend(frameon=False, loc="upper right")
plt.savefig(FOLDER / "six_boxes.png", dpi=100)
