"""What proves a transport cost: a feasible plan from above, feasible potentials from below.

For any plan ``P ≥ 0`` with marginals ``a``, ``b`` and any potentials with
``f(i) + g(j) ≤ c(i, j)``: ``Σ a f + Σ b g ≤ W_p^p ≤ Σ P c`` (weak duality). Nothing else is
trusted here, neither a solver's status nor its value.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, diags_array

from sngan.transport._points import EPSILON, Array, Problem

Index = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class WassersteinResult:
    """A Wasserstein distance with its proof.

    Attributes
    ----------
    distance
        ``W_p``, in the units of the points: the root of the cost of ``plan``. Where ``optimal`` is
        false (the solver was stopped early, or is approximate) it is an upper value.
    lower, upper
        A bracket of ``W_p``: from the feasible potentials, and from the feasible plan. Both ends
        allow for the rounding of distances, products and sums.
    gap
        Primal minus dual cost, ``upper^p − lower^p``, in units of ``W_p^p``. Zero up to rounding
        proves the plan and the potentials optimal.
    optimal
        Whether ``gap`` is at most 1e-9 of the largest cost.
    plan
        ``scipy.sparse.csr_array`` (n, m): the mass that moves from ``x_i`` to ``y_j``. Its sums
        over rows and columns are the weights.
    potential_x, potential_y
        ``f`` (n,) and ``g`` (m,) with ``f(i) + g(j) ≤ |x_i − y_j|^p`` to the last bit of float64.
    p
        The power.
    """

    distance: float
    lower: float
    upper: float
    gap: float
    optimal: bool
    plan: Any
    potential_x: Array
    potential_y: Array
    p: int


def certify(
    problem: Problem, plan: csr_array, plan_costs: Array, f: Array, g: Array, *, largest: float
) -> WassersteinResult:
    """Bracket ``W_p`` by a plan (with the cost of each of its entries) and feasible potentials."""
    a, b, p = problem.weights_x, problem.weights_y, problem.p
    primal = math.fsum(plan.data * plan_costs)
    # moving the mass that rounding misplaced costs at most the largest cost
    misplaced = _misplaced(plan, a, b)
    terms = np.concatenate([a * f, b * g])
    # the rounding of the weights and of the products; fsum adds none
    dual = math.fsum(terms) - 4 * EPSILON * math.fsum(np.abs(terms))
    # the relative error of a Euclidean distance summed naively over its dimensions
    rounding = p * (problem.dimension + 8) * EPSILON
    above = (primal + misplaced * largest) * (1 + rounding)
    below = max(0.0, dual * (1 - rounding))
    return WassersteinResult(
        distance=_root(primal, p),
        lower=_root(below, p),
        upper=_root(above, p),
        gap=above - below,
        optimal=above - below <= 1e-9 * largest,
        plan=plan,
        potential_x=f,
        potential_y=g,
        p=p,
    )


def _misplaced(plan: csr_array, a: Array, b: Array) -> float:
    """Bound the mass by which a plan misses its marginals, the rounding of its sums included."""
    errors = math.fsum(np.abs(plan.sum(1) - a)) + math.fsum(np.abs(plan.sum(0) - b))
    longest = max(np.diff(plan.indptr).max(), np.bincount(plan.indices).max(initial=0))
    return errors + EPSILON * float(longest - 1)


def certify_matrix(
    problem: Problem, costs: Array, plan: csr_array, starts: Iterable[Array]
) -> WassersteinResult:
    """Repair any plan and the best of some potentials for a cost matrix, then certify them."""
    a, b = problem.weights_x, problem.weights_y
    repaired = feasible_plan(plan, a, b)
    pairs = [feasible_potentials(costs, start) for start in starts]
    f, g = max(pairs, key=lambda pair: float(a @ pair[0] + b @ pair[1]))
    entries = repaired.tocoo()
    plan_costs = costs[entries.row, entries.col]
    return certify(problem, repaired, plan_costs, f, g, largest=float(costs.max()))


def feasible_potentials(costs: Array, start: Array) -> tuple[Array, Array]:
    """Return the c-transforms ``g(j) = min_i c − f``, then ``f(i) = min_j c − g``, feasible.

    They are the largest ``g`` for ``f = start`` and the largest ``f`` for this ``g``; a row of
    which nothing is known starts at ``−inf``.
    """
    g = (costs - start[:, None]).min(0)
    f = (costs - g).min(1)
    # f + g rounds to more than c in places: step down until float64 agrees
    while ((excess := (f[:, None] + g - costs).max(1)) > 0).any():
        f = np.where(excess > 0, np.minimum(np.nextafter(f, -np.inf), f - excess), f)
    return f, g


def feasible_plan(plan: csr_array, a: Array, b: Array) -> csr_array:
    """Scale rows and columns down to the marginals, then couple what is left.

    Altschuler, Weed, Rigollet 2017, arXiv:1705.09634, algorithm 2, with a sparse coupling of the
    remainders in the place of their outer product; the bound on the added cost is the same.
    """
    plan = diags_array(_shrink(a, plan.sum(1))) @ plan
    plan = plan @ diags_array(_shrink(b, plan.sum(0)))
    left_a, left_b = np.maximum(a - plan.sum(1), 0), np.maximum(b - plan.sum(0), 0)
    return (plan + as_plan(*staircase(left_a, left_b), (len(a), len(b)))).tocsr()


def _shrink(target: Array, total: Array) -> Array:
    return np.divide(target, total, out=np.ones_like(target), where=total > target)


def staircase(a: Array, b: Array) -> tuple[Index, Index, Array]:
    """Couple masses in their given order (north-west corner): cells ``i``, ``j`` and their mass.

    The cells are a monotone path from (0, 0) to (n − 1, m − 1), of n + m − 1 cells, each one step
    down or right; some may hold no mass.
    """
    # in extended precision where the machine has it: equal sums of many parts then meet
    ends_a, ends_b = (np.cumsum(masses, dtype=np.longdouble) for masses in (a, b))
    ends = np.concatenate([ends_a[:-1], ends_b[:-1]])
    order = np.argsort(ends, kind="stable")
    down = order < len(a) - 1
    i = np.concatenate([[0], np.cumsum(down)])
    j = np.concatenate([[0], np.cumsum(~down)])
    total = min(ends_a[-1], ends_b[-1])
    mass = np.diff(np.minimum(ends[order], total), prepend=0.0, append=total)
    return i, j, mass.astype(np.float64)


def as_plan(i: Index, j: Index, mass: Array, shape: tuple[int, int]) -> csr_array:
    """Return a sparse plan; mass below one rounding of 1 is no move."""
    kept = mass > EPSILON
    return coo_array((mass[kept], (i[kept], j[kept])), shape=shape).tocsr()


def _root(cost: float, p: int) -> float:
    return cost if p == 1 else math.sqrt(cost)
