"""Lower bound on a domain: the steepest secant that a search finds inside it."""

import math

import torch
from torch import Tensor

from sngan.lipschitz.local.domain import Domain
from sngan.lipschitz.search.budget import SearchBudget
from sngan.lipschitz.search.jacobian_norms import JacobianNorms
from sngan.lipschitz.search.lower import LowerBound
from sngan.lipschitz.search.steering import steer
from sngan.lipschitz.tracing.prepare import PreparedModule
from sngan.utils.double_backward import twice_differentiable
from sngan.utils.text import first_line

_ROUNDING = 1e-12
_AGREEMENT = 1e-7
_STEPS = (1e-3, 1e-4, 1e-5, 1e-6)


def local_lower_bound(
    module: PreparedModule, *, domain: Domain | None, norm: str, budget: SearchBudget, seed: int
) -> LowerBound:
    """Search a domain for the point where the module is steepest.

    Parameters
    ----------
    module
        The network.
    domain
        The domain; None for all inputs.
    norm
        The norm of inputs and outputs.
    budget
        The size of the search.
    seed
        The seed of the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    try:
        with twice_differentiable():
            jacobian = JacobianNorms(module, generator, budget.iterations, norm)
            return _Search(module, domain, norm, jacobian).run(budget)
    except Exception as error:
        # the module's own code may raise any error where its input requires a gradient
        note = f"no lower bound: autograd cannot differentiate the module ({first_line(error)})"
        return LowerBound(0.0, module.example[0].clone(), note)


class _Search:
    def __init__(
        self, module: PreparedModule, domain: Domain | None, norm: str, jacobian: JacobianNorms
    ) -> None:
        self.module, self.norm, self.jacobian = module, norm, jacobian
        inputs = module.example.numel()
        whole = Domain(
            torch.zeros(inputs, dtype=torch.float64), torch.full((inputs,), 10.0).double(), "inf"
        )
        self.domain = whole if domain is None else domain

    def run(self, budget: SearchBudget) -> LowerBound:
        points = self._start(budget.samples)
        for round_ in range(budget.rounds + 1):
            best = self._top(points, budget.kept)
            if round_ == 0:
                best = self._top(torch.cat([best, self._steered(best, budget)]), budget.kept)
            width = 2.0 ** (-12 * round_ / max(budget.rounds, 1))
            noise = [w * self._noise(len(best)) * self.domain.half for w in (width, 0.1 * width)]
            points = torch.cat([best, *(self.domain.project(best + move) for move in noise)])
        found = (self._confirmed(point) for point in self._top(points, budget.kept))
        best = max(
            (lower for lower in found if lower is not None),
            key=lambda lower: lower.value,
            default=None,
        )
        if best is not None:
            return best
        note = "no lower bound: no secant confirmed the derivative at any of the steepest points"
        return LowerBound(0.0, self._shaped(points[0])[0], note)

    def _steered(self, points: Tensor, budget: SearchBudget) -> Tensor:
        """Return the steepest points that steering finds in the domain."""
        width = (
            self.domain.half
            if self.domain.norm == "inf"
            else self.domain.half / math.sqrt(len(self.domain.half))
        )
        found = steer(
            self.jacobian,
            self._shaped(points),
            self._shaped(width),
            steps=budget.steering,
            project=lambda moved: self._shaped(self.domain.project(moved.cpu().flatten(1))),
        )
        return found.cpu().flatten(1)

    def _start(self, count: int) -> Tensor:
        """Return the centre and points at several distances from it, up to the border."""
        noise = self._noise(count)
        scale = torch.rand(count, 1, generator=self.jacobian.generator, dtype=torch.float64)
        around = self.domain.centre + scale * (
            self.domain.project(self.domain.centre + 2 * noise * self.domain.half)
            - self.domain.centre
        )
        return torch.cat([self.domain.centre[None], around])

    def _top(self, points: Tensor, count: int) -> Tensor:
        norms = self.jacobian.norms(self._shaped(points)).cpu().nan_to_num(nan=-1.0, posinf=-1.0)
        return points[norms.topk(min(count, len(norms))).indices]

    def _confirmed(self, point: Tensor) -> LowerBound | None:
        """Return the slope at a point, confirmed by a secant that stays in the domain."""
        # a point on the border moves inwards
        inner = self.domain.centre + (point - self.domain.centre) * (1 - 2e-3)
        room = float(self.domain.room(inner[None]))
        value, direction = self.jacobian.norm_at(self._shaped(inner[None])[0])
        direction = direction.detach().cpu().flatten()
        if not math.isfinite(value) or value == 0.0 or room <= 0.0:
            return None
        size = max(1.0, float(inner.norm()))
        for relative in _STEPS:
            half = min(relative * size, room)
            ends = [self._shaped((inner + s * half * direction)[None]) for s in (1.0, -1.0)]
            with torch.no_grad():
                change = self.module(ends[0].clone()) - self.module(ends[1].clone())
            secant = self._length(change) / self._length(ends[0] - ends[1])
            if abs(secant - value) <= _AGREEMENT * value:
                witness = self._shaped(inner[None])[0].detach().clone()
                along = self._shaped(direction[None])[0].detach().clone()
                return LowerBound(min(secant, value) * (1 - _ROUNDING), witness, "", along, half)
        return None

    def _length(self, tensor: Tensor) -> float:
        return float(torch.linalg.vector_norm(tensor.flatten(), float(self.norm)))

    def _noise(self, count: int) -> Tensor:
        return self.jacobian.noise(count, len(self.domain.centre)).cpu()

    def _shaped(self, points: Tensor) -> Tensor:
        return points.reshape(-1, *self.jacobian.shape).to(self.jacobian.device)
