r"""Multipliers for the proof in ``proof.py``: in closed form, and better ones by a search.

All multipliers ``≥ 0`` give a proof. There are three kinds in closed form.

- **Majorants.** Pull V back from the outputs. If a diagonal D, constant on each block, satisfies
  ``D ≽ enterᵀ V enter``, then ``Λ = (1 + t)D`` is valid for every t > 0. For an activation with
  slopes ``[a, b]`` and ``t = (a + b)/(b − a)``, ``D = s·I`` with the largest eigenvalue s gives
  ECLipsE-Fast (Xu, Sivaranjani 2024, arXiv:2404.04375), which is never worse than the product of
  the norms. D by Gershgorin's row sums belongs to the family of Syed, Hu 2025, arXiv:2503.14297.
  Here the row sums are scaled down as far as D stays a majorant. The code also tries a list of t,
  and takes the one with the smallest ``λ_max`` of the next V.
- **Duals.** These are the majorants of the transposed network. If λ* proves γ for that network,
  then ``λ = γ²/λ*`` proves γ for the original one. The reason: with ``Θ = diag(1, λ)``,
  ``Θ' = diag(γ², λ)`` and the matrix T of ``(d, w) → (y, leave·v)``, the inequality is
  ``‖Θ^½ T Θ'^{−½}‖ ≤ 1``, and a matrix and its transpose have the same norm. ECLipsE-Fast itself is
  a dual, because it goes from the inputs to the outputs.
- **Sizes.** Replace the elements of first, keep and last by their absolute values. In enter and
  leave, replace the elements of each block by their norm. The result is a network of non-negative
  numbers. Take its top singular vectors. Let u be the forward values of ``‖leave·v‖``, and g the
  backward values of the gradient at w. Then ``λ = g/u`` proves the norm of this network, because
  the matrix of the inequality is bounded below by a matrix without positive elements off the
  diagonal. That matrix maps the positive vector ``(d, u)`` to ``(0, 0)``, and such an M-matrix is
  semidefinite. So the exact constant of a network with weights ≥ 0 needs no search.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from sngan.lipschitz.slopes.proof import eigenvalues, pull_back, pull_back_through
from sngan.lipschitz.slopes.stages import Stage, Stages, dual

Rule = Literal["largest", "rows"]

_MARGINS = (0.001, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5)
_LEAST = 1e-9
# up to this size of a stage, a list of margins is tried
_MOST_TRIED = 256
_SIZE_STEPS = 100
STEPS = 600
"""The most steps of the search for multipliers."""
_FEWEST_STEPS = 20
# the number of multiplications in a search, which take some seconds on one core
_WORK = 4e11
# a search ends at half of its steps if its relative gain is below this
_GAIN = 1e-6
_RATE = 0.1
_SLOWER = 0.5
_BARRIER = 0.1
_SOFTNESS = 0.03


@torch.no_grad()
def closed_forms(stages: Stages) -> list[tuple[float, list[Tensor]]]:
    """Return γ² and the multipliers of all closed forms that prove a bound, the smallest first."""
    found: list[tuple[float, list[Tensor]]] = []
    sized = _by_element_norms(stages)
    pulled = pull_back_through(stages, sized)
    if pulled is not None:
        found.append((float(eigenvalues(pulled.form)[-1]), sized))
    other = dual(stages)
    is_small = all(max(stage.enter.shape) <= _MOST_TRIED for stage in stages.middle)
    for rule in ("largest", "rows"):
        for margins in ((), _MARGINS) if is_small else ((),):
            for network in (stages, other):
                result = _by_majorants(network, rule, margins)
                if result is not None:
                    value, multipliers = result
                    if network is other:
                        multipliers = [value / m for m in reversed(multipliers)]
                    found.append((value, multipliers))
    finite = [item for item in found if math.isfinite(item[0])]
    return sorted(finite, key=lambda item: item[0])


def search_multipliers(stages: Stages, start: Sequence[Tensor]) -> list[Tensor]:
    """Minimize log γ² over log λ by Adam, with a barrier that fades.

    The barrier ``−μ·room`` keeps the multipliers away from the edge of the set that proves a bound.
    After a step beyond the edge, the search returns to the best point so far, at a lower rate.
    """
    best, best_value = list(start), math.inf
    rate, start_value = _RATE, 0.0
    steps = _affordable_steps(stages)
    logs, optimizer = _restart(best, rate)
    for step in range(steps):
        left = 1 - step / steps
        with torch.enable_grad():
            pulled = pull_back_through(stages, [log.exp() for log in logs])
        if pulled is None:
            rate *= _SLOWER
            logs, optimizer = _restart(best, rate)
            continue
        with torch.enable_grad():
            values = eigenvalues(pulled.form)
        reached = float(values[-1].detach())
        start_value = start_value or reached
        if reached < best_value:
            best, best_value = [log.detach().exp() for log in logs], reached
        if 2 * step > steps and best_value > start_value * (1 - _GAIN):
            break
        optimizer.zero_grad()
        with torch.enable_grad():
            smooth = _softened(values, _SOFTNESS * left**2) - _BARRIER * left**3 * pulled.room
        smooth.backward()
        # the rate goes to 0, so that the largest eigenvalue stops jumping between close ones
        optimizer.param_groups[0]["lr"] = rate * left
        optimizer.step()
    return best


def _softened(values: Tensor, softness: float) -> Tensor:
    """Return a smooth approximation of the logarithm of the largest value."""
    largest = values[-1].detach()
    ratios = (values / largest - 1) / (softness + _LEAST)
    return largest.log() + (softness + _LEAST) * torch.logsumexp(ratios, dim=0)


def _affordable_steps(stages: Stages) -> int:
    # each stage takes about ten matrix products forward and twenty backward
    work = sum(30.0 * max(s.enter.shape) ** 2 * min(s.enter.shape) for s in stages.middle)
    return min(STEPS, max(_FEWEST_STEPS, round(_WORK / work)))


def _restart(
    multipliers: Sequence[Tensor], rate: float
) -> tuple[list[Tensor], torch.optim.Optimizer]:
    logs = [multiplier.log().requires_grad_() for multiplier in multipliers]
    return logs, torch.optim.Adam(logs, lr=rate)


def _by_majorants(
    stages: Stages, rule: Rule, margins: Sequence[float]
) -> tuple[float, list[Tensor]] | None:
    """Return γ² and the multipliers, found from the outputs to the inputs; None without a proof.

    Without ``margins``, each stage uses its own margin, which suits its slopes.
    """
    form: Tensor = stages.last.t() @ stages.last
    found: list[Tensor] = []
    for stage in reversed(stages.middle):
        majorant = _majorant(form, stage, rule)
        best: tuple[float, Tensor, Tensor] | None = None
        for margin in margins or (stage.margin,):
            multipliers = (1 + margin) * majorant
            pulled = pull_back(form, stage, multipliers)
            size = math.inf if pulled is None else _estimated_norm(pulled.form)
            if pulled is not None and (best is None or size < best[0]):
                best = (size, pulled.form, multipliers)
        if best is None:
            return None
        form = best[1]
        found.append(best[2])
    return float(eigenvalues(stages.first.t() @ form @ stages.first)[-1]), found[::-1]


def _majorant(form: Tensor, stage: Stage, rule: Rule) -> Tensor:
    """Return the least multiple of a diagonal with ``D ≽ enterᵀ V enter``, one number a block."""
    inner = stage.enter.t() @ form @ stage.enter
    floor = _LEAST * max(float(form.diagonal().max()), 1e-300)
    if rule == "largest":
        sizes = torch.ones(stage.blocks, dtype=form.dtype)
    else:
        start = torch.zeros(stage.blocks, dtype=form.dtype)
        sizes = start.scatter_reduce(0, stage.enter_blocks, inner.abs().sum(dim=1), "amax")
        sizes = sizes.clamp_min(_LEAST * float(sizes.max())).clamp_min(floor)
    scale = sizes[stage.enter_blocks].rsqrt()
    largest = float(eigenvalues(scale[:, None] * inner * scale)[-1])
    return sizes * max(largest, _LEAST * _LEAST) + floor


def _by_element_norms(stages: Stages) -> list[Tensor]:
    """Return ``λ = g/u`` of the network in which norms replace the matrices' elements."""
    first, last = stages.first.abs(), stages.last.abs()
    sized = [_element_norms(stage) for stage in stages.middle]
    vector = torch.ones(first.shape[1], dtype=first.dtype)
    forward: list[Tensor] = []
    backward: list[Tensor] = []
    for _ in range(_SIZE_STEPS):
        state = first @ (vector / vector.norm())
        forward = []
        for keep, enter, leave in sized:
            forward.append(leave @ state)
            state = keep @ state + enter @ forward[-1]
        gradient = last.t() @ (last @ state)
        backward = []
        for keep, enter, leave in reversed(sized):
            backward.append(enter.t() @ gradient)
            gradient = keep.t() @ gradient + leave.t() @ backward[-1]
        vector = first.t() @ gradient + torch.finfo(first.dtype).tiny
    return [_quotient(g, u) for g, u in zip(reversed(backward), forward, strict=True)]


def _element_norms(stage: Stage) -> tuple[Tensor, Tensor, Tensor]:
    """Return the absolute values of keep, and the norms of enter and leave over each block."""
    enter = _sums_over_blocks(stage.enter.t() ** 2, stage.enter_blocks, stage.blocks).sqrt().t()
    leave = _sums_over_blocks(stage.leave**2, stage.leave_blocks, stage.blocks).sqrt()
    return stage.keep.abs(), enter, leave


def _sums_over_blocks(rows: Tensor, blocks: Tensor, count: int) -> Tensor:
    start = torch.zeros(count, rows.shape[1], dtype=rows.dtype)
    return start.index_add(0, blocks, rows)


def _quotient(gradient: Tensor, value: Tensor) -> Tensor:
    """Return ``g/u``, with both kept away from 0."""
    parts = (part.clamp_min(_LEAST * float(part.max()) + 1e-300) for part in (gradient, value))
    above, below = parts
    return above / below


def _estimated_norm(form: Tensor) -> float:
    """Estimate ``λ_max``, to choose a margin: the 8-norm of the eigenvalues, by two squarings."""
    size = float(torch.linalg.matrix_norm(form))
    if size == 0.0 or not math.isfinite(size):
        return size
    square = (form / size) @ (form / size)
    return size * float(torch.linalg.matrix_norm(square @ square)) ** 0.25
