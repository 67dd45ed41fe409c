"""Certificates of a transport cost: a feasible plan bounds it above, feasible potentials below.

For any plan ``P ≥ 0`` with marginals ``a``, ``b``, and any potentials with
``f(i) + g(j) ≤ c(i, j)``, weak duality says ``Σ a f + Σ b g ≤ W_p^p ≤ Σ P c``. The solver's status
and its value are not used. Lengths and costs are summed in units of powers of two, so that no sum
overflows, and the bracket is widened by everything that may underflow.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import coo_array, csr_array

from sngan.transport.masses import Index, Masses, leafwise, staircase
from sngan.transport.points import EPSILON, Costs, Problem, distances, exponent_of, paired_distances
from sngan.utils.real_arrays import Array

_SMALLEST = 2.0**-1074
# products below this may have lost digits to underflow
_UNSAFE = 2.0**-960
_TIGHT = 1e-9
_LEFT_OUT = 1e-9


@dataclass(frozen=True, eq=False)
class WassersteinResult:
    """A Wasserstein distance with its proof.

    Attributes
    ----------
    distance
        ``W_p``, in units of the points: the p-th root of the cost of ``plan``. If ``optimal`` is
        false, it is an upper value, because the solver was stopped early or is approximate, or
        because float64 has too few digits.
    lower, upper
        A bracket of ``W_p``, in units of the points. ``lower`` comes from the potentials and
        ``upper`` from the plan. On a line both come from the plan, which couples quantiles and is
        therefore optimal. Both allow for the rounding of weights, distances, products and sums.
    gap
        The primal minus the dual cost, ``upper^p − lower^p``, in units of ``W_p^p``. If it is zero
        up to rounding, the plan and the potentials are optimal.
    optimal
        Whether ``gap`` is at most 1e-9 of ``upper^p``.
    plan
        ``scipy.sparse.csr_array`` (n, m): entry (i, j) is the mass that moves from ``x_i`` to
        ``y_j``. Its sums over rows and columns are the weights.
    potential_x, potential_y
        ``f`` (n,) and ``g`` (m,) in units of ``W_p^p``. ``f(i) + g(j) ≤ |x_i − y_j|^p`` holds to
        the last bit of float64.
    p
        The power.

    Examples
    --------
    >>> from sngan.transport import wasserstein
    >>> found = wasserstein([[0.0], [1.0]], [[2.0], [5.0]])
    >>> round(found.distance, 6), found.optimal, found.plan.toarray().tolist()
    (3.0, True, [[0.5, 0.0], [0.0, 0.5]])
    """

    distance: float
    lower: float
    upper: float
    gap: float
    optimal: bool
    plan: Any
    potential_x: Array
    potential_y: Array
    p: float


class Plan(NamedTuple):
    """A sparse plan (n, m); ``misses`` bounds how far each point's sum is from its weight."""

    shares: csr_array
    misses: tuple[Array, Array] | None = None


class Potentials(NamedTuple):
    """Feasible ``f`` (n,) and ``g`` (m,) in units of ``2^exponent``."""

    f: Array
    g: Array
    exponent: int


class _Cost(NamedTuple):
    """A value or a bound of ``W_p^p``: ``value · 2^cost · (2^length)^p``."""

    value: float
    cost: int = 0
    length: int = 0


def certify(
    problem: Problem, plan: Plan, potentials: Potentials, *, is_monotone: bool = False
) -> WassersteinResult:
    """Bracket ``W_p`` by a plan and feasible potentials.

    Parameters
    ----------
    problem
        The points, their weights and the power.
    plan
        A feasible plan.
    potentials
        Feasible potentials.
    is_monotone
        Whether the plan couples quantiles on a line. Such a plan is optimal, so it gives both ends.
    """
    p = problem.p
    below, primal, above = _around(problem, plan)
    if not is_monotone:
        below = _dual(problem, potentials)
    lower, upper = _bound(below, p, up=False), _bound(above, p, up=True)
    return WassersteinResult(
        distance=min(max(_root(primal, p), lower), upper),
        lower=lower,
        upper=upper,
        gap=_difference(above, below, potentials.exponent, p),
        optimal=upper == 0 or (lower / upper) ** p >= 1 - _TIGHT,
        plan=plan.shares,
        potential_x=_in_units(potentials.f, potentials.exponent),
        potential_y=_in_units(potentials.g, potentials.exponent),
        p=p,
    )


def _around(problem: Problem, plan: Plan) -> tuple[_Cost, _Cost, _Cost]:
    """The cost of a rounded plan, between a lower and an upper bound of the exact plan's cost."""
    entries, p, rounding = plan.shares.tocoo(), problem.p, _rounding(problem)
    lengths = paired_distances(problem.x, problem.y, entries.row, entries.col)
    radii = () if plan.misses is None else _radii(problem)
    unit = exponent_of(lengths, *radii)
    products = entries.data * np.ldexp(lengths, -unit) ** p
    cost = math.fsum(products)
    # each product that may have underflowed lost at most 2^−1074
    lost = _SMALLEST * int(np.count_nonzero((products < _UNSAFE) & (lengths > 0)))
    above = cost + lost
    for misses, radius in zip(plan.misses or (), radii, strict=True):
        # missing mass moves through the centre: |x − y|^p ≤ (2 max(r_x, r_y))^p
        above += math.fsum(misses * np.ldexp(radius, 1 - unit) ** p)
        above += _SMALLEST * float(np.count_nonzero(radius))
    below = max(0.0, (cost - lost) * (1 - rounding))
    return (
        _Cost(below, length=unit),
        _Cost(cost, length=unit),
        _Cost(above * (1 + rounding), length=unit),
    )


def _dual(problem: Problem, potentials: Potentials) -> _Cost:
    """Bound ``Σ a f + Σ b g`` from below."""
    weights = np.concatenate([problem.weights_x, problem.weights_y])
    terms = weights * np.concatenate([potentials.f, potentials.g])
    # weights and products are rounded, and fsum is exact
    lost = 4 * EPSILON * math.fsum(np.abs(terms)) + _SMALLEST * len(terms)
    below = max(0.0, math.fsum(terms) - lost) * max(0.0, 1 - _rounding(problem))
    return _Cost(below, cost=potentials.exponent)


def _rounding(problem: Problem) -> float:
    """Bound the relative rounding error of a mass times the p-th power of a distance."""
    return (problem.p * (problem.dimension + 8) + 8) * EPSILON


def _radii(problem: Problem) -> tuple[Array, Array]:
    """Distances of all points to a centre, the median of each coordinate."""
    both = np.concatenate([problem.x, problem.y])
    centre = np.sort(both, axis=0)[len(both) // 2]
    return distances(problem.x, centre[None]).ravel(), distances(problem.y, centre[None]).ravel()


def root(value: float, exponent: int, p: float) -> float:
    """Return ``(value · 2^exponent)^(1/p)`` without overflow or underflow on the way.

    A negative value, which a linear program can give by rounding, counts as 0.
    """
    if p == 1:
        return float(np.ldexp(value, exponent))
    value = max(0.0, value)
    if p == 2:
        odd = exponent % 2
        return float(np.ldexp(math.sqrt(value * 2**odd), (exponent - odd) // 2))
    # take the power of a small exponent only, because the rounding of 1/p grows with the exponent
    fraction, shift = math.frexp(value)
    rest = math.fmod(shift + exponent, p)
    found = fraction ** (1 / p) * 2 ** (rest / p)
    return float(np.ldexp(found, round((shift + exponent - rest) / p)))


def _root(cost: _Cost, p: float) -> float:
    """The p-th root of a cost."""
    return float(np.ldexp(root(cost.value, cost.cost, p), cost.length))


def _bound(cost: _Cost, p: float, *, up: bool) -> float:
    """The p-th root, moved outward by its rounding and by that of a subnormal length."""
    if cost.value == 0:
        return 0.0
    margin = 0.0 if p == 1 else 8 * EPSILON
    length = _root(cost, p) * (1 + margin if up else 1 - margin)
    return math.nextafter(length, math.inf if up else 0.0)


def _difference(above: _Cost, below: _Cost, exponent: int, p: float) -> float:
    """``above − below``, both brought to units of ``2^exponent`` first."""

    def scaled(cost: _Cost) -> float:
        whole, rest = divmod(cost.cost - exponent + cost.length * Fraction(p), 1)
        return float(np.ldexp(cost.value * 2.0 ** float(rest), int(whole)))

    return float(np.ldexp(max(0.0, scaled(above) - scaled(below)), exponent))


def _in_units(potential: Array, exponent: int) -> Array:
    """``potential · 2^exponent``, rounded down if it is subnormal."""
    scaled = np.ldexp(potential, exponent)
    return np.where(np.ldexp(scaled, -exponent) > potential, np.nextafter(scaled, -np.inf), scaled)


def feasible_potentials(costs: Costs, start: Array) -> Potentials:
    """Return the c-transforms of a start ``f``, which are feasible.

    They are ``g(j) = min_i c(i, j) − f(i)``, then ``f(i) = min_j c(i, j) − g(j)``. ``g`` is the
    largest feasible one for ``f = start``, and the new ``f`` the largest for this ``g``. A row
    without a known potential starts at ``−inf``.
    """
    values = costs.values
    g = (values - start[:, None]).min(0)
    f = (values - g).min(1)
    # f + g may round to more than c: step f down until f + g ≤ c in float64
    while ((excess := (f[:, None] + g - values).max(1)) > 0).any():
        f = np.where(excess > 0, np.minimum(np.nextafter(f, -np.inf), f - excess), f)
    return Potentials(f, g, costs.exponent)


def best_potentials(problem: Problem, costs: Costs, starts: Iterable[Array]) -> Potentials:
    """Return the feasible potentials with the largest lower bound."""
    pairs = [feasible_potentials(costs, start) for start in starts]
    return max(pairs, key=lambda pair: _dual(problem, pair).value)


def forest_plan(i: Index, j: Index, masses: Masses) -> Plan:
    """Give cells the largest masses that the weights allow, and couple the rest in order.

    If the cells are the support of a basic solution, nothing is left over, and the sums of the plan
    are the weights exactly.
    """
    placed, rest = leafwise(i, j, masses)
    cells = [(i, j, placed)]
    if rest is not None:
        cells.append(staircase(rest))
    rows, columns, amounts = (np.concatenate(parts) for parts in zip(*cells, strict=True))
    return Plan(as_plan(rows, columns, masses.shares(amounts), (len(masses.x), len(masses.y))))


def as_plan(i: Index, j: Index, shares: Array, shape: tuple[int, int]) -> csr_array:
    """Return a sparse plan of the cells that hold mass."""
    kept = shares > 0
    return coo_array((shares[kept], (i[kept], j[kept])), shape=shape).tocsr()


def rounded_plan(problem: Problem, plan: Array, rows: Index, columns: Index) -> Plan:
    """Scale a plan of some rows and columns down to their weights, then couple what is left.

    This is algorithm 2 of Altschuler, Weed, Rigollet 2017, arXiv:1705.09634, with a sparse coupling
    of the remaining mass instead of an outer product. The bound on the added cost is the same.
    ``plan`` is overwritten.
    """
    a, b = problem.weights_x, problem.weights_y
    plan *= _shrink(a[rows], plan.sum(1))[:, None]
    plan *= _shrink(b[columns], plan.sum(0))
    # the entries left out weigh less in total than the mass that the iterations misplace
    i, j = np.nonzero(plan > _LEFT_OUT / plan.size)
    shape = len(a), len(b)
    sparse = coo_array((plan[i, j], (rows[i], columns[j])), shape=shape).tocsr()
    left_a, left_b = np.maximum(a - sparse.sum(1), 0), np.maximum(b - sparse.sum(0), 0)
    left = min(math.fsum(left_a), math.fsum(left_b))
    if left > 0:
        rest = Masses.of(left_a, left_b)
        i, j, amounts = staircase(rest)
        sparse = (sparse + as_plan(i, j, left * rest.shares(amounts), shape)).tocsr()
    # each sum and each remainder adds at most that many rounded products
    rounding = 4 * (sum(shape) + 8) * EPSILON
    missed_x = np.abs(a - sparse.sum(1)) + rounding * a
    missed_y = np.abs(b - sparse.sum(0)) + rounding * b
    return Plan(sparse, (missed_x, missed_y))


def _shrink(target: Array, total: Array) -> Array:
    return np.divide(target, total, out=np.ones_like(target), where=total > target)
