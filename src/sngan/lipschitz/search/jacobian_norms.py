"""Norms of Jacobians at points: by power iteration, and exactly where the output is small."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from sngan.lipschitz.search.derivatives import (
    DUAL,
    aligned_vectors,
    expand_like,
    gradient,
    jvp,
    norm_of_samples,
    point_sizes,
    sample_norms,
    vjp,
)
from sngan.lipschitz.tracing.prepare import PreparedModule

_FINAL_ITERATIONS = 300
_CONVERGED = 1e-12
_ASCENT_RATE = 0.1
# up to this many outputs, the Jacobian is computed row by row
_DENSE_SIDE = 64


class JacobianNorms:
    """The norm of a module's Jacobian at each point of a batch.

    Parameters
    ----------
    module
        The network.
    generator
        The source of all random numbers.
    iterations
        Power iterations in :meth:`norms`.
    norm
        The norm of inputs and outputs: ``"2"``, ``"1"`` or ``"inf"``. The power iteration for the
        last two is that of Boyd 1974, doi:10.1016/0024-3795(74)90029-9; it can end at a local
        maximum.
    """

    def __init__(
        self,
        module: PreparedModule,
        generator: torch.Generator,
        iterations: int,
        norm: str = "2",
    ) -> None:
        self.module, self.norm = module, norm
        self.iterations = iterations
        # becomes False when the gradient of the norm is 0 at all points of a batch
        self.can_ascend = True
        self.shape = tuple(module.example.shape[1:])
        self.device = module.example.device
        self.generator = generator
        self.is_per_sample = self._acts_per_sample()

    def noise(self, count: int, *shape: int) -> Tensor:
        """Return standard normal numbers of shape ``(count, *shape)``."""
        noise = torch.randn(count, *shape, generator=self.generator, dtype=torch.float64)
        return noise.to(self.device)

    def norms(self, points: Tensor) -> Tensor:
        """Return ``‖Jv‖ ≤ ‖J‖`` at each point, for a unit vector v from some power iterations."""
        return torch.cat([self._norms(part) for part in points.split(64)]).detach()

    def followed_norms(self, points: Tensor, vectors: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return differentiable ``‖Jv‖`` at points that moved a little, and better vectors v.

        Parameters
        ----------
        points
            The points, which require a gradient.
        vectors
            Unit vectors from the points before the move; None to begin with random ones.
        """
        y = self.run(points)
        if not y.requires_grad:
            return torch.zeros(len(points), dtype=points.dtype, device=points.device), points
        if y.shape[1] == 1:
            return self._row_norms(points, y, create_graph=True), points
        start = self._start(points, y) if vectors is None else vectors
        better = self._improved(points, y, jvp(y, points, start)).detach()
        return norm_of_samples(jvp(y, points, better, create_graph=True), self.norm), better

    def ascend(self, points: Tensor, width: float) -> Tensor:
        """Move the points along the gradient of the Jacobian norm, in proportion to ``width``.

        Points without such a gradient are left out.
        """
        if not self.can_ascend:
            return points[:0]
        points = points.detach().requires_grad_()
        total = self._norms(points, differentiable=True).sum()
        if not total.requires_grad:
            return points.detach()[:0]
        try:
            direction = vjp(total, points, torch.ones_like(total))
        except RuntimeError:
            # some operations have no second derivative
            return points.detach()[:0]
        lengths = sample_norms(direction)
        self.can_ascend = bool(lengths.any())
        step = _ASCENT_RATE * width * point_sizes(points) / lengths
        moved = (points + expand_like(step, points) * direction).detach()
        # the gradient vanishes on a linear piece
        return moved[(lengths > 0) & lengths.isfinite()]

    def perturb(self, points: Tensor, width: float) -> Iterator[Tensor]:
        """Yield the points with noise of ``width`` and of ``width/10``, relative to their size."""
        for scale in (width, 0.1 * width):
            noise = self.noise(len(points), *self.shape) / math.sqrt(math.prod(self.shape))
            yield points + expand_like(scale * point_sizes(points), points) * noise

    def norm_at(self, point: Tensor) -> tuple[float, Tensor]:
        """Return the norm of the Jacobian at one point, and the direction that attains it."""
        x = point[None].detach().requires_grad_()
        y = self.run(x)
        if not y.requires_grad:
            return 0.0, torch.zeros_like(point)
        if y.numel() <= _DENSE_SIDE:
            rows = torch.stack([gradient(value, x).flatten() for value in y.flatten()])
            if not bool(rows.isfinite().all()):
                return math.nan, torch.zeros_like(point)
            value, direction = _norm_of_matrix(rows, self.norm)
            return value, direction.view(self.shape)
        v = self._right_singular_vectors(x, y, _FINAL_ITERATIONS)
        return float(norm_of_samples(jvp(y, x, v), self.norm)), v[0].detach()

    def secant(self, point: Tensor, direction: Tensor, half: float) -> float:
        """Return ``‖f(x + hv) − f(x − hv)‖/2h`` for a unit vector v: a lower bound for every f.

        Parameters
        ----------
        point
            The point x.
        direction
            The unit vector v.
        half
            The number h: half of the distance between both ends.
        """
        ends = [point[None] + half * direction, point[None] - half * direction]
        with torch.no_grad():
            difference = self.module(ends[0].clone()) - self.module(ends[1].clone())
        return float(sample_norms(difference[None]) / sample_norms((ends[0] - ends[1])[None]))

    def run(self, points: Tensor) -> Tensor:
        """Return the outputs ``(N, outputs)``."""
        parts = [points] if self.is_per_sample else points.split(1)
        # autograd allows no operation in place on a leaf, so the module gets a clone
        outputs = [self.module(part.clone()) for part in parts]
        return torch.cat(
            [output.reshape(len(p), -1) for output, p in zip(outputs, parts, strict=True)]
        )

    @torch.no_grad()
    def _acts_per_sample(self) -> bool:
        """Whether a batch gives the same outputs as its samples one by one."""
        points = self.noise(2, *self.shape)
        alone = torch.cat([self.module(point[None].clone()).reshape(1, -1) for point in points])
        try:
            together = self.module(points.clone())
        except Exception:
            # a module that was written for one sample may raise any error
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
            return self._row_norms(x, y, create_graph=differentiable)
        v = self._right_singular_vectors(x, y, self.iterations)
        return norm_of_samples(jvp(y, x, v, create_graph=differentiable), self.norm)

    def _row_norms(self, x: Tensor, y: Tensor, *, create_graph: bool) -> Tensor:
        """Return the norms of Jacobians with one row, which are dual norms of this row."""
        row = vjp(y, x, torch.ones_like(y), create_graph=create_graph)
        return norm_of_samples(row, DUAL[self.norm])

    def _start(self, x: Tensor, y: Tensor) -> Tensor:
        return self._aligned(vjp(y, x, self.noise(*y.shape)))

    def _aligned(self, vectors: Tensor) -> Tensor:
        return aligned_vectors(vectors, self.norm)

    def _improved(self, x: Tensor, y: Tensor, jv: Tensor) -> Tensor:
        """Return the vectors of one power iteration, from ``Jv`` of the vectors before."""
        return self._aligned(vjp(y, x, aligned_vectors(jv, DUAL[self.norm])))

    def _right_singular_vectors(self, x: Tensor, y: Tensor, iterations: int) -> Tensor:
        """Return vectors of norm 1 that J makes long: close to the first right singular vectors."""
        v = self._start(x, y)
        size = 0.0
        for _ in range(iterations):
            jv = jvp(y, x, v)
            before, size = size, float(sample_norms(jv[None]))
            v = self._improved(x, y, jv)
            if abs(size - before) <= _CONVERGED * size:
                break
        return v.detach()


def _norm_of_matrix(rows: Tensor, norm: str) -> tuple[float, Tensor]:
    """Return the norm of a matrix, and a vector of norm 1 that attains it."""
    if norm == "2":
        _, sigmas, right = torch.linalg.svd(rows, full_matrices=False)
        return float(sigmas[0]), right[0]
    sums = rows.abs().sum(dim=1 if norm == "inf" else 0)
    place = int(sums.argmax())
    if norm == "inf":
        return float(sums[place]), torch.where(rows[place] < 0, -1.0, 1.0).to(rows.dtype)
    direction = torch.zeros_like(rows[0])
    direction[place] = 1.0
    return float(sums[place]), direction
