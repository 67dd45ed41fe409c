"""The exact Wasserstein distance of two weighted point clouds."""

import warnings

import numpy as np
from scipy.sparse import csr_array

from sngan._checks import require_count
from sngan.transport._points import (
    EPSILON,
    Array,
    Problem,
    Values,
    problem,
    require_finite_costs,
    require_memory,
)
from sngan.transport.certificates import (
    WassersteinResult,
    as_plan,
    certify,
    certify_matrix,
    staircase,
)

# the costs and a scaled copy, and what POT's network simplex held beside them when measured: 4.1
_COPIES = 7


def wasserstein(
    x: Values,
    y: Values,
    p: int = 1,
    *,
    weights_x: Values | None = None,
    weights_y: Values | None = None,
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
        tensors, on any device, or arrays. Flatten images to ``(n, d)``.
    p
        1 or 2.
    weights_x, weights_y
        ``(n,)`` and ``(m,)``, not negative, of sum 1 within 1e-6; they are divided by their sum.
        None is uniform.
    max_iterations
        Pivots of the network simplex; the line needs none. POT's own default, 10⁵, is too few
        from some thousand points on.

    Raises
    ------
    ValueError
        Values that are not finite, real, floating-point; no points; dimensions that differ;
        weights that are negative or of another sum; a cost matrix beyond the free memory.
    """
    clouds = problem(x, y, p, weights_x, weights_y)
    require_count(max_iterations, "max_iterations")
    if clouds.dimension == 1:
        return _on_a_line(clouds)
    require_memory(clouds, _COPIES, instead="sliced_wasserstein or minibatch_wasserstein")
    costs = clouds.costs()
    plan, start, finished = _network_simplex(clouds, costs, max_iterations)
    # potentials of an unfinished simplex can be worse than none
    starts = [start] if finished else [start, np.zeros_like(start)]
    return certify_matrix(clouds, costs, plan, starts)


def _network_simplex(
    clouds: Problem, costs: Array, max_iterations: int
) -> tuple[csr_array, Array, bool]:
    import ot

    exponent = int(np.frexp(costs.max())[1])
    with warnings.catch_warnings():
        # of the iterations, which the bracket tells better
        warnings.simplefilter("ignore", UserWarning)
        plan, log = ot.emd(
            clouds.weights_x,
            clouds.weights_y,
            np.ldexp(costs, -exponent),
            numItermax=max_iterations,
            log=True,
        )
    return csr_array(plan), np.ldexp(log["u"], exponent), log["result_code"] == 1


def _on_a_line(clouds: Problem) -> WassersteinResult:
    """Couple the sorted points; potentials that are tight along the path of the coupling.

    ``|x − y|^p`` is a Monge cost, so potentials with ``f + g = c`` along a monotone path from the
    first to the last pair are feasible everywhere (Hoffman 1963, On simple linear programming
    problems).
    """
    order_x, order_y = np.argsort(clouds.x[:, 0]), np.argsort(clouds.y[:, 0])
    i, j, mass = staircase(clouds.weights_x[order_x], clouds.weights_y[order_y])
    # sums over the path run in extended precision where the machine has it
    x, y = (points[:, 0].astype(np.longdouble) for points in (clouds.x, clouds.y))
    path = np.abs(x[order_x[i]] - y[order_y[j]]) ** clouds.p
    largest = float(max(x.max() - y.min(), y.max() - x.min()) ** clouds.p)
    require_finite_costs(np.array([largest]))
    rise, down = np.diff(path), np.diff(i) == 1
    f, g = np.empty_like(x), np.empty_like(y)
    f[order_x] = np.concatenate([[0], np.cumsum(rise[down])])
    g[order_y] = path[0] + np.concatenate([[0], np.cumsum(rise[~down])])
    centre = clouds.weights_x @ f
    # a bound on the rounding of these sums, so that f + g ≤ c survives it
    margin = largest * (8 * len(path) * np.finfo(np.longdouble).eps + 8 * EPSILON)
    plan = as_plan(order_x[i], order_y[j], mass, (len(x), len(y)))
    entries = plan.tocoo()
    plan_costs = np.abs(clouds.x[entries.row, 0] - clouds.y[entries.col, 0]) ** clouds.p
    return certify(
        clouds,
        plan,
        plan_costs,
        (f - centre).astype(np.float64),
        (g + centre - margin).astype(np.float64),
        largest=largest,
    )
