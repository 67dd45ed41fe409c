"""Steering of points to where a network is steep, across the kinks of its activations.

The Jacobian of a network with kinks is constant on pieces, and a random step of a point in many
dimensions meets no better piece. The derivative of ``‖J‖`` in each slope tells which activations
should be on and which off. The points move so that their activations do so, with the derivatives of
:mod:`sngan.lipschitz.search.switching`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sngan.lipschitz.search.derivatives import expand_like, sample_norms, vjp
from sngan.lipschitz.search.jacobian_norms import JacobianNorms
from sngan.lipschitz.search.switching import SwitchingSlopes

_RATE = 0.05
_MARGIN = 0.1
_LEAST_MARGIN = 1e-3
# slopes leak in this part of the steps
_LEAKING, _LEAK = 0.3, 0.1
# a search ends after so many steps without a relative gain of this size
_PATIENCE, _GAIN = 30, 1e-6


def steer(
    jacobian: JacobianNorms,
    points: Tensor,
    unit: Tensor,
    *,
    steps: int,
    project: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return the steepest point on the way of each point; none if no activation has a kink.

    Parameters
    ----------
    jacobian
        The norms of the network's Jacobians.
    points
        The points ``(N, …)`` to start from.
    unit
        The size of a coordinate, of a shape that broadcasts to that of the points. A step moves
        each coordinate by a small part of it.
    steps
        The number of steps.
    project
        Moves points into the domain of the search; None for all inputs.
    """
    start = points.detach()
    moved = torch.zeros_like(start, requires_grad=True)
    optimizer = torch.optim.Adam([moved], lr=_RATE)
    best, best_norms = start, start.new_zeros(len(start))
    vectors: Tensor | None = None
    gained = 0
    for step in range(steps):
        left = 1 - step / steps
        is_leaking = step < _LEAKING * steps
        here = (start + unit * moved).detach().requires_grad_()
        with SwitchingSlopes() as slopes:
            slopes.margin = _LEAST_MARGIN + _MARGIN * left
            slopes.leak = _LEAK if is_leaking else 0.0
            norms, vectors = jacobian.followed_norms(here, vectors)
        if not slopes.count or not norms.requires_grad:
            return start[:0]
        gradient = vjp(norms, here, torch.ones_like(norms))
        if not bool(gradient.isfinite().all()):
            break
        found = norms.detach()
        is_better = (found > best_norms) & (not is_leaking)
        if is_leaking or bool((found > best_norms * (1 + _GAIN)).any()):
            gained = step
        if step > gained + _PATIENCE:
            break
        best = torch.where(expand_like(is_better, here), here.detach(), best)
        best_norms = torch.where(is_better, found, best_norms)
        # each sample has gradients of its own size
        size = expand_like(sample_norms(unit * gradient).clamp_min(1e-300), gradient)
        moved.grad = -unit * gradient / size
        optimizer.param_groups[0]["lr"] = _RATE * left
        optimizer.step()
        if project is not None:
            with torch.no_grad():
                moved.copy_((project(start + unit * moved) - start) / unit)
    return best
