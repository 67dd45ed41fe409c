"""Six boxes and two plans for them, drawn as arrows: one plan is cheap and one is dear."""

import matplotlib.pyplot as plt
import numpy as np

import sngan

boxes, goals = np.array([1, 1, 1, 2, 2, 3.0]), np.array([0, 1, 1, 2, 3, 3.0])
cheapest = sngan.wasserstein(boxes, goals).plan.toarray()
swapped = np.fliplr(np.eye(6)) / 6  # the first box goes to the last goal, and so on

figure, panels = plt.subplots(1, 2, sharey=True)
for panel, plan, name in zip(panels, (cheapest, swapped), ("cheapest", "another"), strict=True):
    for i, j in np.argwhere(plan > 0.01):
        panel.plot([boxes[i], goals[j]], [1, 0], "o-", color="#007a5a", alpha=0.5)
    cost = 6 * (plan * abs(boxes[:, None] - goals)).sum()
    panel.set(title=f"{name} plan: cost {cost:.0f}", xlabel="place", yticks=[])
panels[0].set(yticks=[0, 1], yticklabels=["goals", "boxes"])
plt.savefig("earth.svg")
