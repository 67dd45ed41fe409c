"""Check of a slope bound from its multipliers, in NumPy and with intervals, without a search.

The inequalities are those of ``slopes/proof.py``. The forms ``V_k`` may be any numbers, so they
are computed in plain floating point. Each inequality is then checked for the exact matrices.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from sngan.lipschitz.certificate.intervals import Array, Interval, block
from sngan.lipschitz.slopes.stages import EXACTNESS, Stage, Stages, balance, dual

SLACKS = (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
_LEAST = 1e-12
_GRAM_SLACK = 1e-8


@dataclass(frozen=True)
class _Form:
    """The form V of the state, as exact numbers."""

    matrix: Array

    @property
    def roots(self) -> Array:
        return np.sqrt(np.clip(np.diagonal(self.matrix), 0, None))


def checked_slack(stages: Stages, multipliers: Sequence[Tensor], constant: float) -> float | None:
    """Return the smallest slack with which :func:`proves` succeeds, or None."""
    return next((s for s in SLACKS if proves(stages, multipliers, s, constant)), None)


def proves(stages: Stages, multipliers: Sequence[Tensor], slack: float, constant: float) -> bool:
    """Whether these multipliers prove that the constant of the stages is at most ``constant``.

    Parameters
    ----------
    stages
        The network.
    multipliers
        One vector for each stage, one number for each of its blocks.
    slack
        The relative slack that keeps the forms definite in spite of rounding.
    constant
        The claimed constant.
    """
    balanced = balance(stages)
    network = balanced.stages
    weights = [np.asarray(m) for m in balanced.scaled_multipliers(multipliers)]
    shapes = [stage.blocks for stage in network.middle]
    if [len(weight) for weight in weights] != shapes or constant <= 0.0:
        return False
    if not all(np.isfinite(weight).all() and (weight > 0).all() for weight in weights):
        return False
    with np.errstate(all="ignore"):
        return _proves(network, weights, slack, float(np.ldexp(constant, -balanced.exponent)))


def _proves(network: Stages, weights: Sequence[Array], slack: float, constant: float) -> bool:
    form = _form_of_inputs(network, weights, slack)
    first = _read(network.first, network.first_size)
    return form is not None and _is_below(form, first, slack, constant)


def output_gram(
    stages: Stages,
    multipliers: Sequence[Tensor],
    constant: float,
    *,
    last: tuple[Tensor, Tensor] | None = None,
) -> tuple[Interval, int] | None:
    """Return G and an exponent e so that ``√(qᵀGq)·2ᵉ`` bounds the constant of ``q·f``, for all q.

    If the multipliers λ prove the constant γ, then ``γ²/λ`` prove it for the transposed network.
    They give a form M that bounds ``(u·v_K)²`` by ``uᵀMu‖d‖²`` for the last state v_K and every u,
    so ``G = last·M·lastᵀ``. It is None if the check of the inequalities fails.

    Parameters
    ----------
    stages
        The network.
    multipliers, constant
        As for :func:`proves`.
    last
        A linear map from the outputs to other outputs, which then count, and its sizes.
    """
    balanced = balance(stages)
    network = balanced.stages
    square = math.ldexp(constant, -balanced.exponent) ** 2
    weights = [square / np.asarray(m) for m in reversed(balanced.scaled_multipliers(multipliers))]
    form = _form_of_inputs(dual(network), weights, _GRAM_SLACK)
    if form is None:
        return None
    rows = _read(network.last, network.last_size)
    rows = rows if last is None else _read(*last) @ rows
    return rows @ (Interval.exact(form.matrix) @ rows.t), balanced.exponent


def _form_of_inputs(network: Stages, weights: Sequence[Array], slack: float) -> _Form | None:
    """Return a V with ``‖f(x) − f(y)‖² ≤ vᵀVv`` for the first state v; None without a proof."""
    last = _read(network.last, network.last_size)
    sizes = _sizes(network.last_size, np.ones(len(last.mid)))
    sizes = np.maximum(sizes, _LEAST * sizes.max())
    form = _Form(_symmetric(last.mid.T @ last.mid) + np.diag(slack * sizes))
    if not (Interval.exact(form.matrix) - last.t @ last).is_definite():
        return None
    growth = 1.0
    for stage, weight in zip(reversed(network.middle), reversed(weights), strict=True):
        growth *= 1 + slack
        earlier = _pulled_back(form, stage, growth * weight, slack)
        if earlier is None:
            return None
        form = earlier
    return form


def _pulled_back(form: _Form, stage: Stage, weight: Array, slack: float) -> _Form | None:
    """Return V_k for V_{k+1}, or None if the block matrix of the stage is not proved definite."""
    keep = _read(stage.keep, stage.keep_size)
    enter = _read(stage.enter, stage.enter_size)
    leave = _read(stage.leave, stage.leave_size)
    inner_weight = weight[np.asarray(stage.enter_blocks)]
    outer_weight = weight[np.asarray(stage.leave_blocks)]
    entered = enter.mid.T @ form.matrix
    inner = np.diag(inner_weight) - entered @ enter.mid
    try:
        factor = np.linalg.cholesky(_symmetric(inner))
    except np.linalg.LinAlgError:
        return None
    half = np.linalg.solve(factor, entered @ keep.mid)
    left = np.sqrt(outer_weight)[:, None] * leave.mid
    sizes = _sizes(stage.keep_size, form.roots) + _sizes(stage.leave_size, np.sqrt(outer_weight))
    sizes = np.maximum(sizes, _LEAST * sizes.max())
    pulled = keep.mid.T @ form.matrix @ keep.mid + half.T @ half + left.T @ left
    earlier = _Form(_symmetric(pulled) + np.diag(slack * sizes))
    exact = Interval.exact(form.matrix)
    read = exact @ enter
    corner = keep.t @ read
    left_exact = leave.t @ (Interval.exact(np.diag(outer_weight)) @ leave)
    outer = Interval.exact(earlier.matrix) - keep.t @ (exact @ keep) - left_exact
    whole = block(
        [
            [outer, Interval(-corner.mid, corner.rad)],
            [
                Interval(-corner.mid.T, corner.rad.T),
                Interval.exact(np.diag(inner_weight)) - enter.t @ read,
            ],
        ]
    )
    return earlier if whole.is_definite() else None


def _is_below(form: _Form, first: Interval, slack: float, constant: float) -> bool:
    """Whether ``firstᵀ V first ≺ constant²`` is proved; a smaller matrix may stand for first."""
    if first.mid.shape[0] < first.mid.shape[1]:
        square = first @ first.t
        sizes = np.abs(first.mid).sum(axis=1) ** 2
        sizes = np.maximum(sizes, _LEAST * sizes.max())
        try:
            root = np.linalg.cholesky(square.mid + np.diag(slack * sizes))
        except np.linalg.LinAlgError:
            return False
        first = Interval.exact(root)
        if not (first @ first.t - square).is_definite():
            return False
    top = first.t @ (Interval.exact(form.matrix) @ first)
    bound = Interval.near(constant * constant * np.eye(len(top.mid)), 2.0**-52)
    return (bound - top).is_definite()


def _read(matrix: Tensor, size: Tensor) -> Interval:
    """Return a matrix of the stages, whose elements are exact to ``EXACTNESS`` of their sizes."""
    return Interval.within(np.asarray(matrix), EXACTNESS * np.asarray(size))


def _symmetric(matrix: Array) -> Array:
    return (matrix + matrix.T) / 2


def _sizes(size: Tensor, roots: Array) -> Array:
    return (np.asarray(size).T @ roots) ** 2
