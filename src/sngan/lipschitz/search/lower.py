"""The attained lower bound: the largest Jacobian norm that a search finds, checked by a secant."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sngan.lipschitz.progress import ProgressReport, no_progress
from sngan.lipschitz.search.budget import SearchBudget
from sngan.lipschitz.tracing.prepare import PreparedModule
from sngan.utils.double_backward import twice_differentiable
from sngan.utils.text import first_line

_SCALES = (0.1, 1.0, 10.0)
_PHASE = "lower bound"
_FINAL_ITERATIONS = 300
_CLIMB_RATE = 0.1
_DENSE_SIDE = 64
_MOST_PAIRS = 4096
# half-lengths of the secants, relative to the size of the point
_HALF_LENGTHS = (1e-3, 1e-4, 1e-5, 1e-6)
# off the kinks that data sit on, such as pixels of 0
_JITTER = 1e-4
_AGREEMENT = 1e-7
_CONVERGED = 1e-12
_ROUNDING = 1e-12


@dataclass(frozen=True)
class LowerBound:
    """The largest Jacobian norm that was found, and where."""

    value: float
    witness: Tensor
    note: str = ""


def lower_bound(
    module: PreparedModule,
    *,
    data: Tensor | None,
    budget: SearchBudget,
    seed: int,
    report: ProgressReport = no_progress,
) -> LowerBound:
    """Search for the point where the prepared ``module`` is steepest.

    Starts from data, noise around it, and points between pairs that are far apart in value for
    their distance; then climbs and perturbs the best. Piecewise linear networks have a constant
    gradient around almost every point: there only the perturbations make progress.
    """
    # on the CPU and of its own, so that a seed means the same everywhere
    generator = torch.Generator().manual_seed(seed)
    slope = LocalSlope(module, generator, budget.iterations)
    try:
        with twice_differentiable():
            return _searched(slope, data, budget, report)
    except Exception as error:
        # the module's own code may raise anything where its input has a history
        note = f"no lower bound: autograd cannot differentiate the module ({first_line(error)})"
        return LowerBound(0.0, module.example[0].clone(), note)


def _searched(
    slope: "LocalSlope", data: Tensor | None, budget: SearchBudget, report: ProgressReport
) -> LowerBound:
    report(_PHASE, 0, budget.rounds + 1)
    points = _candidates(slope, data, budget)
    best = _top(points, slope.norms(points), budget.kept)
    for round_ in range(budget.rounds):
        report(_PHASE, round_ + 1, budget.rounds + 1)
        width = 2.0 ** (-12 * round_ / budget.rounds)
        tried = torch.cat([slope.climbed(best[0], width), *slope.perturbed(best[0], width)])
        points, norms = torch.cat([best[0], tried]), torch.cat([best[1], slope.norms(tried)])
        best = _top(points, norms, budget.kept)
    return _first_proved(slope, best[0])


class LocalSlope:
    """The size of a module's derivative at a batch of points, sample by sample."""

    def __init__(self, module: PreparedModule, generator: torch.Generator, iterations: int) -> None:
        self.module = module
        self.iterations = iterations
        # until it is seen that the slope is constant on pieces
        self.can_climb = True
        self.shape = tuple(module.example.shape[1:])
        self.device = module.example.device
        self.generator = generator
        self.is_per_sample = self._acts_per_sample()

    def noise(self, count: int, *shape: int) -> Tensor:
        """Standard normal numbers of shape ``(count, *shape)``."""
        noise = torch.randn(count, *shape, generator=self.generator, dtype=torch.float64)
        return noise.to(self.device)

    def norms(self, points: Tensor) -> Tensor:
        """``‖Jv‖`` of unit vectors v after some power iterations: at most the norm of J."""
        return torch.cat([self._norms(part) for part in points.split(64)]).detach()

    def climbed(self, points: Tensor, width: float) -> Tensor:
        """The points moved along the gradient of their slope, by ``width`` of their size."""
        if not self.can_climb:
            return points[:0]
        points = points.detach().requires_grad_()
        total = self._norms(points, differentiable=True).sum()
        if not total.requires_grad:
            return points.detach()[:0]
        try:
            gradient = _pulled(total, points, torch.ones_like(total))
        except RuntimeError:
            # some operations have no second derivative
            return points.detach()[:0]
        lengths = _lengths(gradient)
        self.can_climb = bool(lengths.any())
        step = _CLIMB_RATE * width * _sizes(points) / lengths
        moved = (points + _wide(step, points) * gradient).detach()
        # on a linear piece there is nowhere to climb
        return moved[(lengths > 0) & lengths.isfinite()]

    def perturbed(self, points: Tensor, width: float) -> Iterator[Tensor]:
        """The points with noise of ``width`` and of a tenth of it, relative to their size."""
        for scale in (width, 0.1 * width):
            noise = self.noise(len(points), *self.shape) / math.sqrt(math.prod(self.shape))
            yield points + _wide(scale * _sizes(points), points) * noise

    def derivative(self, point: Tensor) -> tuple[float, Tensor]:
        """The norm of the Jacobian at one point, and the direction in which it is attained."""
        x = point[None].detach().requires_grad_()
        y = self.run(x)
        if not y.requires_grad:
            return 0.0, torch.zeros_like(point)
        if y.numel() <= _DENSE_SIDE:
            rows = torch.stack([_gradient(value, x).flatten() for value in y.flatten()])
            if not bool(rows.isfinite().all()):
                return math.nan, torch.zeros_like(point)
            _, sigmas, right = torch.linalg.svd(rows, full_matrices=False)
            return float(sigmas[0]), right[0].view(self.shape)
        v = self._power(x, y, _FINAL_ITERATIONS)
        image = _directional(y, x, v)
        return float(_lengths(image)), v[0].detach()

    def secant(self, point: Tensor, direction: Tensor, half: float) -> float:
        """``‖f(x + hv) − f(x − hv)‖/2h`` for a unit vector v: a lower bound whatever f is."""
        ends = [point[None] + half * direction, point[None] - half * direction]
        with torch.no_grad():
            difference = self.module(ends[0].clone()) - self.module(ends[1].clone())
        return float(_lengths(difference[None]) / _lengths((ends[0] - ends[1])[None]))

    def run(self, points: Tensor) -> Tensor:
        """The outputs ``(N, outputs)``."""
        parts = [points] if self.is_per_sample else points.split(1)
        # the module may work in place, which must not change a leaf
        images = [self.module(part.clone()) for part in parts]
        return torch.cat(
            [image.reshape(len(p), -1) for image, p in zip(images, parts, strict=True)]
        )

    @torch.no_grad()
    def _acts_per_sample(self) -> bool:
        """Whether a batch gives what its samples give one by one."""
        points = self.noise(2, *self.shape)
        alone = torch.cat([self.module(point[None].clone()).reshape(1, -1) for point in points])
        try:
            together = self.module(points.clone())
        except Exception:
            # it was written for one sample, and says so as it likes
            return False
        if together.shape[:1] != (2,) or together.numel() != alone.numel():
            return False
        return torch.allclose(together.reshape(2, -1), alone, equal_nan=True)

    def _norms(self, points: Tensor, *, differentiable: bool = False) -> Tensor:
        x = points if differentiable else points.detach().requires_grad_()
        y = self.run(x)
        if not y.requires_grad:
            return torch.zeros(len(points), dtype=x.dtype, device=x.device)
        if y.shape[1] == 1:
            gradient = _pulled(y, x, torch.ones_like(y), create_graph=differentiable)
            return _lengths(gradient)
        v = self._power(x, y, self.iterations)
        return _lengths(_directional(y, x, v, create_graph=differentiable))

    def _power(self, x: Tensor, y: Tensor, iterations: int) -> Tensor:
        """Unit vectors that approach the first right singular vectors of the Jacobians."""
        v = _unit(self.noise(len(x), *self.shape))
        size = 0.0
        for _ in range(iterations):
            image = _directional(y, x, v)
            before, size = size, float(_lengths(image[None]))
            v = _unit(_pulled(y, x, _unit(image)))
            if abs(size - before) <= _CONVERGED * size:
                break
        return v.detach()


def _candidates(slope: LocalSlope, data: Tensor | None, budget: SearchBudget) -> Tensor:
    samples = budget.samples
    noise = [scale * slope.noise(samples // 3 + 1, *slope.shape) for scale in _SCALES]
    if data is None:
        points = torch.cat(noise)
    else:
        own = data.to(device=slope.device, dtype=torch.float64)
        picked = torch.randperm(len(own), generator=slope.generator)[:samples]
        own = own[picked.to(slope.device)]
        jitter = slope.noise(len(own), *slope.shape) / math.sqrt(math.prod(slope.shape))
        near = [own + _wide(width * _sizes(own), own) * jitter for width in (_JITTER, 0.01)]
        points = torch.cat([*near, *noise])
    return torch.cat([points, _between_steep_pairs(slope, points, budget.kept)])


def _between_steep_pairs(slope: LocalSlope, points: Tensor, count: int) -> Tensor:
    """Points on the segments whose ends differ most in value for their distance.

    Somewhere on such a segment the derivative is at least that steep.
    """
    with torch.no_grad():
        values = torch.cat([slope.run(part) for part in points.split(64)])
    first, second = _pairs(len(points), slope.generator).to(points.device)
    steepness = _lengths(values[first] - values[second])
    steepness = steepness / _lengths(points[first] - points[second]).clamp_min(1e-9)
    steep = steepness.nan_to_num().topk(min(count, len(first))).indices
    ends = points[first[steep]], points[second[steep]]
    return torch.cat([torch.lerp(*ends, weight) for weight in (0.1, 0.3, 0.5, 0.7, 0.9)])


def _pairs(count: int, generator: torch.Generator) -> Tensor:
    """All pairs of different points, or some at random where all would be too many."""
    if count * (count - 1) // 2 <= _MOST_PAIRS:
        return torch.triu_indices(count, count, 1)
    first = torch.randint(count, (_MOST_PAIRS,), generator=generator)
    step = torch.randint(1, count, (_MOST_PAIRS,), generator=generator)
    return torch.stack([first, (first + step) % count])


def _first_proved(slope: LocalSlope, points: Tensor) -> LowerBound:
    """The first point where autograd's derivative is one: a secant through it agrees.

    At a kink, as at 0 in a network without biases, autograd may give more than any slope there.
    """
    proved = (_proved(slope, point) for point in points)
    note = "no lower bound: at none of the steepest points did a secant confirm the derivative"
    return next((lower for lower in proved if lower is not None), LowerBound(0.0, points[0], note))


def _proved(slope: LocalSlope, point: Tensor) -> LowerBound | None:
    norm, direction = slope.derivative(point)
    if not math.isfinite(norm):
        return None
    for relative in _HALF_LENGTHS:
        half = relative * float(_sizes(point[None]))
        secant = slope.secant(point, direction, half)
        if abs(secant - norm) <= _AGREEMENT * norm:
            return LowerBound(min(secant, norm) * (1 - _ROUNDING), point.detach().clone())
    return None


def _top(points: Tensor, norms: Tensor, count: int) -> tuple[Tensor, Tensor]:
    norms = norms.nan_to_num(nan=-1.0, posinf=-1.0)
    best = norms.topk(min(count, len(norms)))
    return points[best.indices], best.values


def _pulled(y: Tensor, x: Tensor, u: Tensor, *, create_graph: bool = False) -> Tensor:
    """``Jᵀu``."""
    (found,) = torch.autograd.grad(
        y, x, u, create_graph=create_graph, retain_graph=True, allow_unused=True,
        materialize_grads=True,
    )  # fmt: skip
    return found


def _directional(y: Tensor, x: Tensor, v: Tensor, *, create_graph: bool = False) -> Tensor:
    """``Jv``, as the derivative of ``(Jᵀu)·v`` by u."""
    u = torch.zeros_like(y, requires_grad=True)
    pulled = _pulled(y, x, u, create_graph=True)
    if not pulled.requires_grad:
        return torch.zeros_like(y)
    return _pulled((pulled * v).sum(), u, torch.ones_like(pulled.sum()), create_graph=create_graph)


def _gradient(value: Tensor, x: Tensor) -> Tensor:
    return _pulled(value, x, torch.ones_like(value))


def _lengths(tensor: Tensor) -> Tensor:
    """The length of each sample, without its power of two, so that no square overflows."""
    flat = tensor.flatten(1)
    largest = torch.linalg.vector_norm(flat.detach(), math.inf, dim=1, keepdim=True)
    exponent = torch.frexp(largest).exponent.where(largest.isfinite(), 0).clamp(-1000, 1000)
    size = torch.ldexp(torch.ones_like(largest), exponent)
    return torch.linalg.vector_norm(flat / size, dim=1) * size[:, 0]


def _sizes(points: Tensor) -> Tensor:
    """The length of each point, at least 1."""
    return _lengths(points).clamp_min(1.0)


def _unit(tensor: Tensor) -> Tensor:
    return tensor / _wide(_lengths(tensor).clamp_min(1e-300), tensor)


def _wide(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.dim() - 1))
