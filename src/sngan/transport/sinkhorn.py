"""Sinkhorn iterations in the log domain, with a regularization that is halved in stages."""

import math

import numpy as np

from sngan.utils.real_arrays import Array

# the exponent of an update: near the solution 1.5 needs far fewer iterations (Thibault et al. 2017,
# arXiv:1711.01851); far from the solution only 1 is safe
_OVER_RELAXED, _PLAIN = 1.5, 1.0
_LARGEST = 1e40  # larger scalings are absorbed into the potentials
_STAGE_ERROR, _FINAL_ERROR = 1e-2, 1e-3
_STAGE_ITERATIONS = 10


class Sinkhorn:
    """The plan ``u_i K(i, j) v_j`` with ``K = exp((f + g − c)/ε)``, and its potentials.

    An iteration multiplies a matrix by the scalings ``u`` or ``v``. If these grow too large for
    float64, they are absorbed into the potentials by an iteration in the log domain (Schmitzer
    2019, arXiv:1610.06519).

    Parameters
    ----------
    costs
        ``c`` (n, m), of size about 1.
    weights_x, weights_y
        Positive weights, (n,) and (m,).
    """

    def __init__(self, costs: Array, weights_x: Array, weights_y: Array) -> None:
        self._costs = costs
        self._weights = weights_y[None, :], weights_x[:, None]
        self._f, self._g = np.zeros_like(weights_x), np.zeros_like(weights_y)
        self._u, self._v = np.ones_like(weights_x), np.ones_like(weights_y)
        self._epsilon = 1.0

    def solve(self, epsilon: float, *, max_iterations: int) -> None:
        """Halve ``ε`` from the size of the costs down to ``epsilon``, a stage for each value."""
        stages = min(max(0, math.ceil(-math.log2(epsilon))), max_iterations // _STAGE_ITERATIONS)
        most = max_iterations // (2 * max(1, stages))
        for halvings in range(stages, 0, -1):
            max_iterations -= self._iterate(epsilon * 2**halvings, most, _STAGE_ERROR)
        self._iterate(epsilon, max_iterations, _FINAL_ERROR)

    def plan(self) -> Array:
        """Return the plan. It overwrites the kernel, so call this last."""
        self._kernel *= self._u[:, None]
        self._kernel *= self._v
        return self._kernel

    def potential_x(self) -> Array:
        """Return the dual potential of ``x``."""
        return self._f + self._epsilon * np.log(self._u)

    def _iterate(self, epsilon: float, most: int, tolerance: float) -> int:
        """Update columns and rows in turn, at most ``most`` times; return the number of updates."""
        self._absorb(epsilon, axis=1)
        least, power = math.inf, _PLAIN
        weights_y, weights_x = (weights.ravel() for weights in self._weights)
        for done in range(1, most + 1):
            columns = self._kernel.T @ self._u
            if columns.min() * _LARGEST < 1:
                self._absorb(epsilon, axis=0)
                continue
            self._v *= (weights_y / (columns * self._v)) ** power
            rows = self._kernel @ self._v
            error = float(np.abs(rows * self._u - weights_x).sum())
            if error <= tolerance:
                return done
            power = _OVER_RELAXED if error < 2 * least else _PLAIN
            least = min(least, error)
            if rows.min() * _LARGEST < 1 or max(self._u.max(), self._v.max()) > _LARGEST:
                self._absorb(epsilon, axis=1)
                continue
            self._u *= (weights_x / (rows * self._u)) ** power
        return most

    def _absorb(self, epsilon: float, *, axis: int) -> None:
        """Absorb the scalings into the potentials; fit rows (1) or columns (0) to the weights."""
        self._f = self.potential_x()
        self._g = self._g + self._epsilon * np.log(self._v)
        self._epsilon = epsilon
        kernel = self._g - self._costs if axis else self._f[:, None] - self._costs
        kernel /= epsilon
        largest = kernel.max(axis, keepdims=True)
        kernel -= largest
        np.exp(kernel, out=kernel)
        scaling = self._weights[axis] / kernel.sum(axis, keepdims=True)
        kernel *= scaling
        potential = (epsilon * (np.log(scaling) - largest)).ravel()
        if axis:
            self._f = potential
        else:
            self._g = potential
        self._kernel = kernel
        self._u, self._v = np.ones_like(self._f), np.ones_like(self._g)
