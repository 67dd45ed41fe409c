"""The cheapest plan and the best prices of six boxes: two answers to one question."""

import matplotlib.pyplot as plt
import numpy as np

from sngan.transport import dual_linear_program

boxes, goals = np.array([2.0, 5, 8]), np.array([1.0, 4, 6, 9])
found = dual_linear_program(
    boxes, goals, weights_x=np.array([3, 2, 1]) / 6, weights_y=np.array([1, 2, 1, 2]) / 6
)
for i, j in np.argwhere(found.plan.toarray() > 0.01):
    ends = [boxes[i], goals[j]], [found.critic_x[i], found.critic_y[j]]
    plt.plot(*ends, color="#007a5a", lw=3 * 6 * found.plan[i, j])
plt.plot(boxes, found.critic_x, "o", color="#0b6fb8", ms=10, label="price where boxes stand")
plt.plot(goals, found.critic_y, "o", color="#c14a09", ms=10, label="price at the goals")
plt.title(f"the plan costs {6 * found.primal:.4f}, the prices earn {6 * found.dual:.4f}")
plt.xlabel("place")
plt.legend()
plt.savefig("dual.svg")
