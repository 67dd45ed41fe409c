r"""Proof of a bound: a quadratic form is pulled back from a network's outputs to its inputs.

The form ``V_K = lastᵀ·last`` gives the squared difference of the outputs as ``vᵀV_K v`` of the last
state v. Let ``vᵀV_{k+1}v`` be a bound of it for the state after a stage (``stages.py``). Take
multipliers ``λ ≥ 0``, one for each block, and Λ = diag(λ) over the elements of each block. Then

.. math:: v_{k+1}^\top V_{k+1} v_{k+1} \le v_{k+1}^\top V_{k+1} v_{k+1}
          + \sum_b λ_b\big(\|(\text{leave}\,v_k)_b\|^2 - \|w_b\|^2\big) \le v_k^\top V_k v_k,

if the block matrix

.. math:: \begin{pmatrix} V_k - \text{keep}^\top V_{k+1}\,\text{keep}
          - \text{leave}^\top Λ\,\text{leave} & -\text{keep}^\top V_{k+1}\,\text{enter} \\
          -\text{enter}^\top V_{k+1}\,\text{keep} & Λ - \text{enter}^\top V_{k+1}\,\text{enter}
          \end{pmatrix} \succeq 0.

The least such V_k follows from a Schur complement. Then ``firstᵀ V_0 first ≼ γ²`` proves the
constant γ. For a chain, these are the blocks of the inequality of LipSDP-Neuron (Fazlyab et al.
2019, arXiv:1906.04893), as in ECLipsE (Xu, Sivaranjani 2024, arXiv:2404.04375), which goes from the
inputs to the outputs. For residual networks, they are those of Araujo et al. 2023,
arXiv:2303.03169.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sngan.lipschitz.slopes.stages import EXACTNESS, Stage, Stages

# relative slack that makes the block matrices definite in spite of rounding
_SLACKS = (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
_EPSILON = 2.0**-52
# positive scale of a coordinate of the state that has no influence
_LEAST_SIZE = 1e-12


@dataclass(frozen=True)
class PulledBack:
    """A quadratic form, and the room that the multipliers left.

    ``room`` is ``log det(I − Λ^{−½} enterᵀ V enter Λ^{−½})`` divided by the number of elements of
    w, summed over the stages. It is −∞ on the edge of the set of multipliers for which V_k exists.
    """

    form: Tensor
    room: Tensor


def pull_back(form: Tensor, stage: Stage, multipliers: Tensor) -> PulledBack | None:
    """Return the least V_k for V_{k+1} = ``form``.

    It is None if ``Λ − enterᵀ V enter`` is not definite. The result is differentiable in the
    multipliers and in the form.

    Parameters
    ----------
    form
        V_{k+1}.
    stage
        Stage k.
    multipliers
        The multipliers λ, one for each block of the stage.
    """
    scale = multipliers[stage.enter_blocks].rsqrt()
    entered = (stage.enter * scale).t() @ form
    inner = torch.eye(len(scale), dtype=scale.dtype) - (entered @ stage.enter) * scale
    factor, failed = torch.linalg.cholesky_ex(inner)
    if failed:
        return None
    half = torch.linalg.solve_triangular(factor, entered @ stage.keep, upper=False)
    left = multipliers[stage.leave_blocks].sqrt()[:, None] * stage.leave
    rows = torch.cat([half, left])
    earlier = stage.keep.t() @ (form @ stage.keep) + rows.t() @ rows
    return PulledBack(earlier, 2 * factor.diagonal().log().mean())


def pull_back_through(stages: Stages, multipliers: Sequence[Tensor]) -> PulledBack | None:
    """Return ``firstᵀ V_0 first``, whose ``λ_max`` is the unchecked γ²; None without a proof."""
    form = stages.last.t() @ stages.last
    room = torch.zeros((), dtype=form.dtype)
    for stage, multiplier in zip(reversed(stages.middle), reversed(multipliers), strict=True):
        pulled = pull_back(form, stage, multiplier)
        if pulled is None:
            return None
        form, room = pulled.form, room + pulled.room
    return PulledBack(stages.first.t() @ form @ stages.first, room)


def proved_bound(stages: Stages, multipliers: Sequence[Tensor]) -> float | None:
    """Return the smallest γ whose block matrices are certainly definite; None if there is none."""
    for slack in _SLACKS:
        squared = _proved(stages, multipliers, slack)
        if squared is not None:
            return math.sqrt(squared) * (1 + _EPSILON)
    return None


def compress_inputs(first: Tensor, size: Tensor) -> Tensor:
    """Return a K with ``K Kᵀ ≽ first·firstᵀ`` that has at most as many columns as rows.

    Both sides are almost equal. ``firstᵀ V first`` and ``V^½ first firstᵀ V^½`` have the same
    largest eigenvalue. The largest eigenvalue of ``Kᵀ V K`` is not smaller. So K may replace
    ``first`` where there are more inputs than values of the first state.
    """
    if first.shape[0] >= first.shape[1]:
        return first
    square = first @ first.t()
    sizes = size.sum(dim=1) ** 2
    sizes = sizes.clamp_min(_LEAST_SIZE * float(sizes.max()))
    for slack in _SLACKS:
        factor, failed = torch.linalg.cholesky_ex(square + torch.diag(slack * sizes))
        if not failed and is_definite(factor @ factor.t() - square, sizes, terms=first.shape[1]):
            return factor
    return first


def eigenvalues(form: Tensor) -> Tensor:
    """Return the eigenvalues, ascending, of a form that is symmetric up to rounding."""
    return torch.linalg.eigvalsh((form + form.t()) / 2)


def is_definite(matrix: Tensor, sizes: Tensor, *, terms: int = 0) -> bool:
    """Whether the exact matrix, without any rounding, is proved to be positive definite.

    Element (i, j) must be a sum of at most ``terms`` products (or as many as there are rows). The
    sizes of these products must add up to at most ``√(sizes_i sizes_j)``, and their factors must be
    exact to ``EXACTNESS`` times their own sizes. Then the error of the element is this number times
    a small multiple of ``terms·2⁻⁵³ + EXACTNESS``. The error of the n×n matrix, scaled to sizes of
    1, is at most n times as large. A Cholesky factorization that succeeds proves that its matrix is
    definite up to ``n·2⁻⁵³`` of the trace (Rump 2006, doi:10.1007/s10543-006-0056-1). The margin is
    larger than the sum of both.

    Parameters
    ----------
    matrix
        The computed matrix.
    sizes
        ``sizes_i`` for each row i.
    terms
        The number of products in an element.
    """
    if not bool((sizes > 0).all()) or not bool(matrix.isfinite().all()):
        return False
    count = len(matrix)
    margin = count * (8 * _EPSILON * max(count, terms) + 4 * EXACTNESS)
    scale = sizes.rsqrt()
    scaled = scale[:, None] * (matrix + matrix.t()) / 2 * scale
    scaled.diagonal().sub_(margin)
    return int(torch.linalg.cholesky_ex(scaled).info) == 0


@torch.no_grad()
def _proved(stages: Stages, multipliers: Sequence[Tensor], slack: float) -> float | None:
    last = stages.last
    sizes = _sizes(stages.last_size, torch.ones(len(last), dtype=last.dtype))
    exact = last.t() @ last
    form: Tensor | None = exact + torch.diag(slack * sizes)
    if not is_definite(form - exact, sizes, terms=len(last)):
        return None
    growth = 1.0
    for stage, multiplier in zip(reversed(stages.middle), reversed(multipliers), strict=True):
        # the form of the next stage grew by the slack, so the multipliers must grow, too
        growth *= 1 + slack
        form = _proved_back(form, stage, growth * multiplier, slack)
        if form is None:
            return None
    first = stages.first
    top = first.t() @ form @ first
    sizes = _sizes(stages.first_size, form.diagonal())
    squared = float(eigenvalues(top)[-1]) + slack * float(sizes.max())
    is_proof = is_definite(
        torch.diag(torch.full_like(sizes, squared)) - top, sizes + squared, terms=len(first)
    )
    return squared if is_proof else None


def _proved_back(form: Tensor, stage: Stage, multipliers: Tensor, slack: float) -> Tensor | None:
    """Return a V_k whose block matrix passes the check, or None; ``form`` counts as exact."""
    pulled = pull_back(form, stage, multipliers)
    if pulled is None:
        return None
    weights = multipliers[stage.enter_blocks], multipliers[stage.leave_blocks]
    sizes = _sizes(stage.keep_size, form.diagonal()) + _sizes(stage.leave_size, weights[1])
    sizes = sizes.clamp_min(_LEAST_SIZE * float(sizes.max()))
    earlier = (pulled.form + pulled.form.t()) / 2 + torch.diag(slack * sizes)
    entered = stage.enter.t() @ form
    corner = -(entered @ stage.keep)
    left = weights[1][:, None] * stage.leave
    outer = earlier - stage.keep.t() @ (form @ stage.keep) - stage.leave.t() @ left
    inner = torch.diag(weights[0]) - entered @ stage.enter
    block = torch.cat([torch.cat([outer, corner.t()], 1), torch.cat([corner, inner], 1)])
    sizes = torch.cat(
        [sizes + earlier.diagonal(), weights[0] + _sizes(stage.enter_size, form.diagonal())]
    )
    terms = len(stage.keep) + len(stage.leave)
    return earlier if is_definite(block, sizes, terms=terms) else None


def _sizes(size: Tensor, diagonal: Tensor) -> Tensor:
    """Return p² with ``(Sᵀ|X|S)_ij ≤ p_i p_j`` for every semidefinite X of this diagonal.

    S has the sizes of the elements of a matrix.
    """
    return (size.t() @ diagonal.clamp_min(0).sqrt()) ** 2
