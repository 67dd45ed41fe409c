"""The exact Wasserstein distance of two weighted point clouds."""

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

# the costs, and what POT's network simplex held beside them when measured: 4.1
_COPIES = 7
# of costs without the long distances that no mass moves
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

    The ground distance is Euclidean; ``P ≥ 0`` runs over the plans whose rows sum to
    ``weights_x`` and columns to ``weights_y``. All is computed in float64. On a line the plan that
    couples quantiles is optimal (Villani 2003, Topics in Optimal Transportation, section 2.2) and
    takes O(n log n); else the network simplex of POT solves it (Bonneel et al. 2011, Displacement
    interpolation; Flamary et al. 2021), on costs scaled by a power of two, because its tolerances
    are absolute. The plan and potentials it returns are made feasible and bracket the distance
    (see :class:`WassersteinResult`), so a solver that stops early gives a wide bracket and never a
    wrong one.

    Parameters
    ----------
    x, y
        Points ``(n, d)`` and ``(m, d)``, or ``(n,)`` and ``(m,)`` on a line: floating-point
        tensors, on any device, arrays, or lists of numbers. Flatten images to ``(n, d)``.
    p
        Between 1 and 1000.
    weights_x, weights_y
        ``(n,)`` and ``(m,)``, not negative, of sum 1 within 1e-6; they are divided by their sum.
        None is uniform.
    max_iterations
        Pivots of the network simplex; the line needs none. POT's own default, 10⁵, is too few
        from some thousand points on.

    Raises
    ------
    ValueError
        If values are not finite, real and floating-point, or masked; there are no points, or their
        dimensions differ; weights are negative or of another sum; ``p`` is below 1; a distance to
        the power p overflows; or a cost matrix is beyond the free memory.
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
        # near points drown in the rounding of far ones: a plan that is optimal for min(c, c_0) and
        # moves nothing over c_0 is optimal, and what is feasible for these costs is feasible
        shorter = _longest_move(clouds, found) * 2 ** (1 / clouds.p)
        if found.optimal or not finished or shorter >= longest:
            break
        longest = shorter
    assert found is not None
    return found


def _of_costs(clouds: Problem, costs: Costs, max_iterations: int) -> tuple[WassersteinResult, bool]:
    """The bracket for costs, and whether the simplex came to its end."""
    i, j, start, finished = _network_simplex(clouds, costs, max_iterations)
    plan = forest_plan(i, j, clouds.masses)
    found = certify(clouds, plan, feasible_potentials(costs, start))
    if found.optimal:
        return found, finished
    # potentials of an unfinished simplex can be worse than none, as can those of points far away
    starts = [start, np.zeros_like(start)]
    return certify(clouds, plan, best_potentials(clouds, costs, starts)), finished


def _width(result: WassersteinResult) -> float:
    return result.upper - result.lower


def _longest_move(clouds: Problem, found: WassersteinResult) -> float:
    entries = found.plan.tocoo()
    return float(paired_distances(clouds.x, clouds.y, entries.row, entries.col).max())


class _Solution(NamedTuple):
    """The cells of a plan, a potential of ``x``, and whether they are the simplex's last."""

    i: Index
    j: Index
    start: Array
    finished: bool


def _network_simplex(clouds: Problem, costs: Costs, max_iterations: int) -> _Solution:
    import ot

    with warnings.catch_warnings():
        # of the iterations, which the bracket tells better
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
    """Couple the sorted points; potentials that are tight along the path of the coupling.

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
    """Potentials with ``f(i) + g(j) = c(i, j)`` along a monotone path, less their rounding."""
    # sums over the path run in extended precision where the machine has it
    x, y = (points[:, 0].astype(np.longdouble) for points in (clouds.x, clouds.y))
    unit = cost_unit(float(max(x.max() - y.min(), y.max() - x.min())), clouds.p)
    lengths = np.ldexp(np.abs(x[i] - y[j]), -unit.length) / unit.largest
    path = lengths**clouds.p * unit.factor
    rise, down = np.diff(path), np.diff(i) != 0
    f, g = np.zeros_like(x), np.full_like(y, path[0])
    f[i[1:][down]] = np.cumsum(rise[down])
    g[j[1:][~down]] += np.cumsum(rise[~down])
    centre = clouds.weights_x @ f
    # a bound on the rounding of these sums, so that f + g ≤ c survives it; costs are at most 2
    margin = 16 * (len(path) * np.finfo(np.longdouble).eps + EPSILON)
    return Potentials(
        (f - centre).astype(np.float64), (g + centre - margin).astype(np.float64), unit.cost
    )
