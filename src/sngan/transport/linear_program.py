"""Kantorovich duality as three linear programs of one value."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, diags_array, hstack, kron

from sngan._checks import require
from sngan.transport._points import Array, Values, distances, problem

_MOST_POINTS = 400


@dataclass(frozen=True, eq=False)
class LinearProgramResult:
    """The optima of three linear programs, equal by strong duality, in units of the points.

    Attributes
    ----------
    primal
        The cheapest plan: ``min Σ P(i, j) |x_i − y_j|``.
    dual
        The best pair of potentials: ``max Σ a f + Σ b g`` with ``f(i) + g(j) ≤ |x_i − y_j|``.
    critic
        The best 1-Lipschitz critic on the points: ``max Σ a φ(x) − Σ b φ(y)`` with
        ``φ(z) − φ(z') ≤ |z − z'|`` for all points ``z``, ``z'`` of both clouds.
    plan
        The cheapest plan, ``scipy.sparse.csr_array`` (n, m).
    potential_x, potential_y
        ``f`` (n,) and ``g`` (m,).
    critic_x, critic_y
        ``φ`` at the points: (n,) and (m,).
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
    x: Values,
    y: Values,
    *,
    weights_x: Values | None = None,
    weights_y: Values | None = None,
) -> LinearProgramResult:
    """Solve ``W_1`` as a plan, as two potentials and as one critic, by SciPy's HiGHS.

    To see the duality of Kantorovich and Rubinstein on small clouds, of 400 points together at
    most; :func:`sngan.transport.wasserstein` is for the rest. HiGHS meets constraints to 1e-7 of
    their scale, so the values are estimates and no bounds. Source: Villani 2009, Optimal
    Transport, theorem 5.10 and remark 6.5.

    Parameters
    ----------
    x, y, weights_x, weights_y
        As in :func:`sngan.transport.wasserstein`.

    Raises
    ------
    ValueError
        What :func:`sngan.transport.wasserstein` raises; too many points.
    RuntimeError
        HiGHS gave up.
    """
    clouds = problem(x, y, 1, weights_x, weights_y)
    n, m = len(clouds.x), len(clouds.y)
    require(
        n + m <= _MOST_POINTS,
        "x, y",
        expected=f"{_MOST_POINTS} points together at most; use wasserstein for more",
        got=f"{n} + {m}",
    )
    costs = clouds.costs()
    # a unit of length at which the solver's absolute tolerances mean something
    unit = float(costs.max()) or 1.0
    masses = np.concatenate([clouds.weights_x, clouds.weights_y])
    pairs = _pairs(n, m)
    flat = costs.ravel() / unit
    plan = _cheapest_plan(flat, masses, pairs)
    potentials = _best_potentials(masses, pairs, flat)
    points = np.concatenate([clouds.x, clouds.y])
    between = distances(points, points).ravel() / unit
    signed = np.concatenate([clouds.weights_x, -clouds.weights_y])
    critic = _best_potentials(signed, _differences(n + m), between)
    return LinearProgramResult(
        primal=float(flat @ plan) * unit,
        dual=float(masses @ potentials) * unit,
        critic=float(signed @ critic) * unit,
        plan=csr_array(plan.reshape(n, m)),
        potential_x=potentials[:n] * unit,
        potential_y=potentials[n:] * unit,
        critic_x=critic[:n] * unit,
        critic_y=critic[n:] * unit,
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
