"""Exact Wasserstein distance ``W_p`` of two weighted point clouds, with its proof."""

import math
import warnings
from typing import NamedTuple

import numpy as np

from sngan.transport.certificates import (
    Plan,
    Potentials,
    WassersteinResult,
    as_plan,
    best_potentials,
    certify,
    feasible_potentials,
    forest_plan,
)
from sngan.transport.masses import Index, Masses, staircase
from sngan.transport.points import (
    EPSILON,
    Costs,
    Problem,
    cost_unit,
    paired_distances,
    problem,
    require_memory,
)
from sngan.utils.checks import require_count
from sngan.utils.real_arrays import Array, Reals

# cost matrices in memory; measured: POT's network simplex holds 4.1 more
_COPIES = 7
# how often the problem is solved again, with long distances cut off
_ATTEMPTS = 8


def wasserstein(
    x: Reals,
    y: Reals,
    p: float = 1,
    *,
    weights_x: Reals | None = None,
    weights_y: Reals | None = None,
    max_iterations: int = 10**8,
) -> WassersteinResult:
    """Wasserstein distance ``W_p = (min_P Σ P(i, j) |x_i − y_j|^p)^(1/p)``, with its proof.

    The ground distance is Euclidean, and ``P ≥ 0`` runs over the plans whose rows sum to
    ``weights_x`` and whose columns sum to ``weights_y``. Everything is computed in float64.

    On a line the plan that couples quantiles is optimal (Villani 2003, Topics in Optimal
    Transportation, section 2.2), and takes O(n log n). Otherwise the network simplex of POT solves
    the problem (Bonneel et al. 2011, Displacement interpolation; Flamary et al. 2021), on costs
    scaled by a power of two because its tolerances are absolute. Its plan and potentials are made
    feasible and bracket the distance (see :class:`WassersteinResult`). A solver that stops early
    therefore gives a wide bracket, but never a wrong one.

    Parameters
    ----------
    x, y
        Points ``(n, d)`` and ``(m, d)``, or ``(n,)`` and ``(m,)`` on a line: floating-point
        tensors, on any device, arrays, or lists of numbers. Flatten images to ``(n, d)``.
    p
        The power, between 1 and 1000.
    weights_x, weights_y
        ``(n,)`` and ``(m,)``, not negative, with a sum of 1 within 1e-6; they are divided by their
        sum. ``None`` is uniform.
    max_iterations
        The largest number of pivots of the network simplex; points on a line need none. POT's own
        default, 10⁵, is too small for more than some thousand points.

    Returns
    -------
    WassersteinResult
        ``distance``, ``lower`` and ``upper`` are ``W_p``, in units of the points; ``gap`` and the
        potentials are in units of ``W_p^p``.

    Raises
    ------
    ValueError
        If values are not finite, real and floating-point, or are masked; there are no points, or
        their dimensions differ; weights are negative or have another sum; ``p`` is outside [1,
        1000]; a distance to the power p overflows; or the cost matrix does not fit into the free
        memory.

    Examples
    --------
    Moving two points by 3 and by 4: ``W_1`` is the mean, ``W_2`` the root of the mean square.

    >>> from sngan import wasserstein
    >>> x, y = [[0.0, 0.0], [9.0, 0.0]], [[0.0, 3.0], [9.0, 4.0]]
    >>> wasserstein(x, y).distance
    3.5
    >>> found = wasserstein(x, y, p=2)
    >>> round(found.distance**2, 9), found.optimal
    (12.5, True)
    >>> found.plan.toarray().tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    clouds = problem(x, y, p, weights_x, weights_y)
    require_count(max_iterations, "max_iterations")
    if clouds.dimension == 1:
        return _on_a_line(clouds)
    require_memory(clouds, _COPIES, instead="sliced_wasserstein or minibatch_wasserstein")
    found, longest = None, math.inf
    for _ in range(_ATTEMPTS):
        again, finished = _of_costs(clouds, clouds.costs(longest=longest), max_iterations)
        found = again if found is None else min(found, again, key=_width)
        # rounding at far points hides the distances of near ones, so limit the costs to c_0; a plan
        # that is optimal for min(c, c_0) and moves nothing at a cost over c_0 is optimal for c too,
        # and potentials that are feasible for min(c, c_0) are feasible for c
        shorter = _longest_move(clouds, found) * 2 ** (1 / clouds.p)
        if found.optimal or not finished or shorter >= longest:
            break
        longest = shorter
    assert found is not None
    return found


def _of_costs(clouds: Problem, costs: Costs, max_iterations: int) -> tuple[WassersteinResult, bool]:
    """The bracket for these costs, and whether the simplex finished."""
    i, j, start, finished = _network_simplex(clouds, costs, max_iterations)
    plan = forest_plan(i, j, clouds.masses)
    found = certify(clouds, plan, feasible_potentials(costs, start))
    if found.optimal:
        return found, finished
    # potentials of an unfinished simplex, or with far points, can be worse than zero: try both
    starts = [start, np.zeros_like(start)]
    return certify(clouds, plan, best_potentials(clouds, costs, starts)), finished


def _width(result: WassersteinResult) -> float:
    return result.upper - result.lower


def _longest_move(clouds: Problem, found: WassersteinResult) -> float:
    entries = found.plan.tocoo()
    return float(paired_distances(clouds.x, clouds.y, entries.row, entries.col).max())


class _Solution(NamedTuple):
    """The cells of a plan, a potential of ``x``, and whether the simplex finished."""

    i: Index
    j: Index
    start: Array
    finished: bool


def _network_simplex(clouds: Problem, costs: Costs, max_iterations: int) -> _Solution:
    import ot

    with warnings.catch_warnings():
        # POT warns of too few iterations, which the bracket shows already
        warnings.simplefilter("ignore", UserWarning)
        plan, log = ot.emd(
            clouds.weights_x,
            clouds.weights_y,
            costs.values,
            numItermax=max_iterations,
            log=True,
        )
    i, j = np.nonzero(plan > 0)
    return _Solution(i, j, log["u"], log["result_code"] == 1)


def _on_a_line(clouds: Problem) -> WassersteinResult:
    """Couple the sorted points, with potentials that are tight along the path of the coupling.

    ``|x − y|^p`` is a Monge cost, so potentials with ``f + g = c`` along a monotone path from the
    first to the last pair are feasible everywhere (Hoffman 1963, On simple linear programming
    problems).
    """
    order_x, order_y = np.argsort(clouds.x[:, 0]), np.argsort(clouds.y[:, 0])
    masses = clouds.masses
    i, j, amounts = staircase(Masses(masses.x[order_x], masses.y[order_y], masses.total))
    i, j = order_x[i], order_y[j]
    plan = as_plan(i, j, masses.shares(amounts), (len(order_x), len(order_y)))
    return certify(clouds, Plan(plan), _tight_along(clouds, i, j), is_monotone=True)


def _tight_along(clouds: Problem, i: Index, j: Index) -> Potentials:
    """Potentials with ``f(i) + g(j) = c(i, j)`` along a monotone path, less the rounding."""
    # sums along the path use extended precision if the machine has it
    x, y = (points[:, 0].astype(np.longdouble) for points in (clouds.x, clouds.y))
    unit = cost_unit(float(max(x.max() - y.min(), y.max() - x.min())), clouds.p)
    lengths = np.ldexp(np.abs(x[i] - y[j]), -unit.length) / unit.largest
    path = lengths**clouds.p * unit.factor
    rise, down = np.diff(path), np.diff(i) != 0
    f, g = np.zeros_like(x), np.full_like(y, path[0])
    f[i[1:][down]] = np.cumsum(rise[down])
    g[j[1:][~down]] += np.cumsum(rise[~down])
    centre = clouds.weights_x @ f
    # lower g by a bound on the rounding of these sums, so that f + g ≤ c; costs are at most 2
    margin = 16 * (len(path) * np.finfo(np.longdouble).eps + EPSILON)
    return Potentials(
        (f - centre).astype(np.float64), (g + centre - margin).astype(np.float64), unit.cost
    )
