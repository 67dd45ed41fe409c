"""Projected gradient attacks: points inside a ball around each sample that change its class."""

from collections.abc import Callable

import torch
from torch import Tensor

_INSIDE = 1 - 1e-6


def projected_gradient(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    radius: Tensor,
    *,
    steps: int = 20,
    seed: int = 0,
) -> Tensor:
    """Return for each sample the attacked point in its ball with the smallest margin.

    The margin of the predicted class over the next one falls along its gradient, from a random
    start, with steps of ``2.5·radius/steps`` (Madry et al. 2018, arXiv:1706.06083). A point that
    changes the class is kept.

    A step is ``x ← Π(x − 2.5 r/n · ∇m/‖∇m‖₂)``, with the margin m, the radius r, n steps, and the
    projection Π onto the ball.

    Parameters
    ----------
    model
        A network with outputs ``(N, classes)``, or ``(N, 1)`` for two classes.
    x
        The samples ``(N, …)``.
    radius
        The Euclidean radius of each ball ``(N,)``.
    steps
        The number of steps.
    seed
        The seed of the random starts.

    Examples
    --------
    The margin ``x₁ − x₂`` is 1, and in the ball of radius 1 it falls by up to ``√2``:

    >>> from sngan.lipschitz import projected_gradient
    >>> x = torch.tensor([[1.0, 0.0]])
    >>> projected_gradient(lambda x: x, x, torch.tensor([1.0])).argmax(dim=1)
    tensor([1])
    """
    generator = torch.Generator().manual_seed(seed)
    centre, sizes = x.detach(), radius.to(x.device, x.dtype)
    top = predicted(model(centre))
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
    points = _inside(centre + _unit(noise) * _like(sizes, x), centre, sizes)
    best, least = centre, torch.full_like(sizes, float("inf"))
    for step in range(steps + 1):
        points = points.detach().requires_grad_()
        margins = margin(model(points), top)
        (gradient,) = torch.autograd.grad(margins.sum(), points)
        better = margins.detach() < least
        least = torch.where(better, margins.detach(), least)
        best = torch.where(_like(better, x), points.detach(), best)
        if step < steps:
            moved = points.detach() - _unit(gradient) * _like(2.5 / steps * sizes, x)
            points = _inside(moved, centre, sizes)
    return best


def predicted(logits: Tensor) -> Tensor:
    """Return the class of each sample; one logit is positive for class 1."""
    return (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(dim=1)


def margin(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the logit of a class minus the largest other logit."""
    if logits.shape[1] == 1:
        return logits[:, 0] * (2 * classes - 1)
    own = logits.gather(1, classes[:, None])
    others = logits.scatter(1, classes[:, None], float("-inf")).amax(dim=1)
    return own[:, 0] - others


def _inside(points: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """Project points onto the balls; the result is inside in spite of rounding."""
    offset = (points - centre).double().flatten(1)
    scale = (_INSIDE * radius.double() / offset.norm(dim=1).clamp_min(1e-300)).clamp_max(1.0)
    moved = centre + (_like(scale, centre) * offset.reshape(centre.shape)).to(centre.dtype)
    outside = (moved - centre).double().flatten(1).norm(dim=1) > radius.double()
    return torch.where(_like(outside, centre), centre, moved)


def _unit(direction: Tensor) -> Tensor:
    sizes = direction.flatten(1).norm(dim=1).clamp_min(1e-30)
    return direction / _like(sizes, direction)


def _like(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.dim() - 1))
