"""Linear programs of Kantorovich duality: three programs with one optimal value."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, diags_array, hstack, kron

from sngan.transport.certificates import root
from sngan.transport.points import Problem, distances, powers, problem
from sngan.utils.checks import require
from sngan.utils.real_arrays import Array, Reals

_MOST_POINTS = 400


@dataclass(frozen=True, eq=False)
class LinearProgramResult:
    """The optima of three linear programs, which are equal by strong duality.

    Attributes
    ----------
    primal
        ``W_p`` of the cheapest plan, ``(min_P Σ P(i, j) |x_i − y_j|^p)^(1/p)``, in units of the
        points.
    dual
        ``W_p`` of the best potentials, in units of the points: the p-th root of
        ``max Σ a f + Σ b g`` with ``f(i) + g(j) ≤ |x_i − y_j|^p``.
    critic
        ``W_1`` of the best 1-Lipschitz critic on the points, in units of the points:
        ``max Σ a φ(x) − Σ b φ(y)`` with ``φ(z) − φ(z') ≤ |z − z'|`` for all points ``z``, ``z'`` of
        both clouds. A single function is a dual of the plan only for p = 1; for other p it is NaN.
    plan
        The cheapest plan, ``scipy.sparse.csr_array`` (n, m).
    potential_x, potential_y
        ``f`` (n,) and ``g`` (m,), in units of ``W_p^p``.
    critic_x, critic_y
        ``φ`` at the points, (n,) and (m,), in units of the points; NaN for p other than 1.

    Examples
    --------
    >>> from sngan.transport import dual_linear_program
    >>> found = dual_linear_program([[0.0]], [[2.0], [3.0]])
    >>> found.plan.toarray().tolist(), round(found.dual, 6)
    ([[0.5, 0.5]], 2.5)
    """

    primal: float
    dual: float
    critic: float
    plan: csr_array
    potential_x: Array
    potential_y: Array
    critic_x: Array
    critic_y: Array


def dual_linear_program(
    x: Reals,
    y: Reals,
    *,
    p: float = 1,
    weights_x: Reals | None = None,
    weights_y: Reals | None = None,
) -> LinearProgramResult:
    """Compute ``W_p`` by a plan and by two potentials, and ``W_1`` also by one critic, with HiGHS.

    This shows the duality of Kantorovich and Rubinstein on clouds of at most 400 points together;
    for larger clouds use :func:`sngan.transport.wasserstein`. SciPy's HiGHS meets constraints to
    1e-7 of their scale, so the values are estimates and not bounds.

    Source: Villani 2009, Optimal Transport, theorem 5.10 and remark 6.5.

    Parameters
    ----------
    x, y, p, weights_x, weights_y
        As in :func:`sngan.transport.wasserstein`.

    Raises
    ------
    ValueError
        If :func:`sngan.transport.wasserstein` would raise, or there are too many points.
    RuntimeError
        If HiGHS finds no optimum.

    Examples
    --------
    >>> from sngan.transport import dual_linear_program
    >>> found = dual_linear_program([[0.0], [1.0]], [[2.0], [3.0]])
    >>> round(found.primal, 6), round(found.dual, 6), round(found.critic, 6)
    (2.0, 2.0, 2.0)
    """
    clouds = problem(x, y, p, weights_x, weights_y)
    n, m = len(clouds.x), len(clouds.y)
    require(
        n + m <= _MOST_POINTS,
        "x, y",
        expected=f"{_MOST_POINTS} points together at most; use wasserstein for more",
        got=f"{n} + {m}",
    )
    costs = clouds.costs()
    # costs of size 1, because the solver's tolerances are absolute
    unit = float(costs.values.max()) or 1.0
    flat = costs.values.ravel() / unit
    masses = np.concatenate([clouds.weights_x, clouds.weights_y])
    pairs = _pairs(n, m)
    plan = _cheapest_plan(flat, masses, pairs)
    potentials = _best_potentials(masses, pairs, flat)
    critic = np.full(n + m, np.nan)
    if clouds.p == 1:
        critic = _best_critic(clouds, costs.exponent) / unit
    signed = np.concatenate([clouds.weights_x, -clouds.weights_y])

    def length(value: float) -> float:
        return root(value * unit, costs.exponent, clouds.p)

    return LinearProgramResult(
        primal=length(float(flat @ plan)),
        dual=length(float(masses @ potentials)),
        critic=float(np.ldexp(signed @ critic * unit, costs.exponent)),
        plan=csr_array(plan.reshape(n, m)),
        potential_x=np.ldexp(potentials[:n] * unit, costs.exponent),
        potential_y=np.ldexp(potentials[n:] * unit, costs.exponent),
        critic_x=np.ldexp(critic[:n] * unit, costs.exponent),
        critic_y=np.ldexp(critic[n:] * unit, costs.exponent),
    )


def _pairs(n: int, m: int) -> csr_array:
    """Rows ``f(i) + g(j)`` of the unknowns ``(f, g)``, one for each pair of points."""
    first = kron(_identity(n), np.ones((m, 1)))
    second = kron(np.ones((n, 1)), _identity(m))
    return csr_array(hstack([first, second]))


def _differences(count: int) -> csr_array:
    """Rows ``φ(z) − φ(z')``, one for each ordered pair of points."""
    one, column = _identity(count), np.ones((count, 1))
    return csr_array(kron(one, column) - kron(column, one))


def _identity(count: int) -> Any:
    return diags_array(np.ones(count))


def _best_critic(clouds: Problem, exponent: int) -> Array:
    """The values of a 1-Lipschitz critic on all points, in units of ``2^exponent``."""
    points = np.concatenate([clouds.x, clouds.y])
    between = powers(distances(points, points), 1)
    limits = np.ldexp(between.values.ravel(), between.exponent - exponent)
    signed = np.concatenate([clouds.weights_x, -clouds.weights_y])
    return _best_potentials(signed, _differences(len(points)), limits)


def _cheapest_plan(costs: Array, masses: Array, pairs: csr_array) -> Array:
    from scipy.optimize import linprog

    return _optimum(linprog(costs, A_eq=pairs.T, b_eq=masses, method="highs"))


def _best_potentials(gains: Array, differences: csr_array, limits: Array) -> Array:
    from scipy.optimize import linprog

    free = (None, None)
    return _optimum(linprog(-gains, A_ub=differences, b_ub=limits, bounds=free, method="highs"))


def _optimum(outcome: Any) -> Array:
    if not outcome.success:
        raise RuntimeError(f"HiGHS found no optimum: {outcome.message}")
    return outcome.x
