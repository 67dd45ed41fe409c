"""Lower bound by search: the largest Jacobian norm that is found, confirmed by a secant."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sngan.lipschitz.progress import ProgressReport, no_progress
from sngan.lipschitz.search.budget import SearchBudget
from sngan.lipschitz.search.derivatives import expand_like, point_sizes, sample_norms
from sngan.lipschitz.search.jacobian_norms import JacobianNorms
from sngan.lipschitz.search.steering import steer
from sngan.lipschitz.tracing.prepare import PreparedModule
from sngan.utils.double_backward import twice_differentiable
from sngan.utils.text import first_line

_SCALES = (0.1, 1.0, 10.0)
_PHASE = "lower bound"
_MOST_PAIRS = 4096
# half-lengths of the secants, relative to the size of the point
_HALF_LENGTHS = (1e-3, 1e-4, 1e-5, 1e-6)
# relative noise that moves data off kinks, such as pixels of 0
_JITTER = 1e-4
_AGREEMENT = 1e-7
_ROUNDING = 1e-12


@dataclass(frozen=True)
class LowerBound:
    """The largest Jacobian norm that the search found, and the point where it is attained.

    ``direction`` and ``half`` are those of the secant that confirmed it; None without a bound.
    """

    value: float
    witness: Tensor
    note: str = ""
    direction: Tensor | None = None
    half: float = 0.0


def lower_bound(
    module: PreparedModule,
    *,
    data: Tensor | None,
    budget: SearchBudget,
    seed: int,
    report: ProgressReport = no_progress,
) -> LowerBound:
    """Search for the point where the prepared ``module`` is steepest.

    The search starts from the data, from noise, and from points between the pairs with the steepest
    secants. It steers the best points to where more activations have the slope that makes the
    Jacobian larger (``steering.py``). Then it moves them along the gradient of the Jacobian norm,
    and perturbs them. A piecewise linear network has a constant Jacobian around almost every point,
    so only the steering and the perturbations make progress there.

    Parameters
    ----------
    module
        The network.
    data
        Points that the search starts from, in addition to noise.
    budget
        The size of the search.
    seed
        The seed of the noise.
    report
        A function that gets the number of rounds that are done.
    """
    # a generator on the CPU gives the same points for a seed on every device
    generator = torch.Generator().manual_seed(seed)
    jacobian = JacobianNorms(module, generator, budget.iterations)
    try:
        with twice_differentiable():
            return _search(jacobian, data, budget, report)
    except Exception as error:
        # the module's own code may raise any error where its input requires a gradient
        note = f"no lower bound: autograd cannot differentiate the module ({first_line(error)})"
        return LowerBound(0.0, module.example[0].clone(), note)


def _search(
    jacobian: JacobianNorms, data: Tensor | None, budget: SearchBudget, report: ProgressReport
) -> LowerBound:
    report(_PHASE, 0, budget.rounds + 1)
    points = _candidates(jacobian, data, budget)
    best = _top(points, jacobian.norms(points), budget.kept)
    for round_ in range(budget.rounds):
        report(_PHASE, round_ + 1, budget.rounds + 1)
        width = 2.0 ** (-12 * round_ / budget.rounds)
        tried = torch.cat([jacobian.ascend(best[0], width), *jacobian.perturb(best[0], width)])
        points, norms = torch.cat([best[0], tried]), torch.cat([best[1], jacobian.norms(tried)])
        best = _top(points, norms, budget.kept)
        if round_ == 0:
            best = _steered(jacobian, best, budget)
    return _first_confirmed(jacobian, best[0])


def _steered(
    jacobian: JacobianNorms, best: tuple[Tensor, Tensor], budget: SearchBudget
) -> tuple[Tensor, Tensor]:
    """Return the best points, among them those that steering finds."""
    points, norms = best
    width = point_sizes(points) / math.sqrt(math.prod(jacobian.shape))
    found = steer(jacobian, points, expand_like(width, points), steps=budget.steering)
    # in a network that is not piecewise linear, it may end where no secant confirms the derivative
    sound = [point for point in found if _confirmed(jacobian, point) is not None]
    if not sound:
        return best
    steered = torch.stack(sound)
    together = torch.cat([points, steered]), torch.cat([norms, jacobian.norms(steered)])
    return _top(*together, budget.kept)


def _candidates(jacobian: JacobianNorms, data: Tensor | None, budget: SearchBudget) -> Tensor:
    """Return the points that the search starts from."""
    samples = budget.samples
    noise = [scale * jacobian.noise(samples // 3 + 1, *jacobian.shape) for scale in _SCALES]
    if data is None:
        points = torch.cat(noise)
    else:
        own = data.to(device=jacobian.device, dtype=torch.float64)
        picked = torch.randperm(len(own), generator=jacobian.generator)[:samples]
        own = own[picked.to(jacobian.device)]
        jitter = jacobian.noise(len(own), *jacobian.shape) / math.sqrt(math.prod(jacobian.shape))
        sizes = expand_like(point_sizes(own), own)
        near = [own + width * sizes * jitter for width in (_JITTER, 0.01)]
        points = torch.cat([*near, *noise])
    return torch.cat([points, _between_steep_pairs(jacobian, points, budget.kept)])


def _between_steep_pairs(jacobian: JacobianNorms, points: Tensor, count: int) -> Tensor:
    """Return points on the segments between the pairs with the steepest secants.

    Somewhere on each of these segments, the derivative is at least as steep as the secant.
    """
    with torch.no_grad():
        values = torch.cat([jacobian.run(part) for part in points.split(64)])
    first, second = _pairs(len(points), jacobian.generator).to(points.device)
    steepness = sample_norms(values[first] - values[second])
    steepness = steepness / sample_norms(points[first] - points[second]).clamp_min(1e-9)
    steep = steepness.nan_to_num().topk(min(count, len(first))).indices
    ends = points[first[steep]], points[second[steep]]
    return torch.cat([torch.lerp(*ends, weight) for weight in (0.1, 0.3, 0.5, 0.7, 0.9)])


def _pairs(count: int, generator: torch.Generator) -> Tensor:
    """Return all pairs of different points, or a random part of them where there are too many."""
    if count * (count - 1) // 2 <= _MOST_PAIRS:
        return torch.triu_indices(count, count, 1)
    first = torch.randint(count, (_MOST_PAIRS,), generator=generator)
    step = torch.randint(1, count, (_MOST_PAIRS,), generator=generator)
    return torch.stack([first, (first + step) % count])


def _first_confirmed(jacobian: JacobianNorms, points: Tensor) -> LowerBound:
    """Return the bound at the first point where a secant agrees with autograd's derivative.

    At a kink, such as 0 in a network without biases, autograd may return a number that is larger
    than every Jacobian there.
    """
    proved = (_confirmed(jacobian, point) for point in points)
    note = "no lower bound: no secant confirmed the derivative at any of the steepest points"
    return next((lower for lower in proved if lower is not None), LowerBound(0.0, points[0], note))


def _confirmed(jacobian: JacobianNorms, point: Tensor) -> LowerBound | None:
    norm, direction = jacobian.norm_at(point)
    if not math.isfinite(norm):
        return None
    for relative in _HALF_LENGTHS:
        half = relative * float(point_sizes(point[None]))
        secant = jacobian.secant(point, direction, half)
        if abs(secant - norm) <= _AGREEMENT * norm:
            value = min(secant, norm) * (1 - _ROUNDING)
            return LowerBound(value, point.detach().clone(), "", direction.detach(), half)
    return None


def _top(points: Tensor, norms: Tensor, count: int) -> tuple[Tensor, Tensor]:
    norms = norms.nan_to_num(nan=-1.0, posinf=-1.0)
    best = norms.topk(min(count, len(norms)))
    return points[best.indices], best.values
