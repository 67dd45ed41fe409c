"""Norms of weights of which each rank holds some rows, as ``fully_shard`` leaves them.

With ``W = [W₁; …; W_P]`` and ``u = (u₁, …, u_P)``, rank r has ``W_r`` and ``u_r``:

    Wᵀu = Σ_r W_rᵀu_r,    (Wv)_r = W_r v,    ‖u‖² = Σ_r ‖u_r‖²,    ⟨g, W̄⟩ = Σ_r ⟨g_r, W̄_r⟩

so the algorithm is that of whole weights, and only the vectors ``Wᵀu`` and scalars are summed
over the ranks: those of all weights in one all-reduce before the step and one an iteration after
it, each of ``columns + 1`` numbers a weight.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor
from typing_extensions import override

from sngan.distributed import dtensor
from sngan.spectral.coefficients import Coefficients
from sngan.spectral.tracked_norms.base import PowerIterationNorm, TrackedNorm, divided, length
from sngan.spectral.weight_group import WeightGroup
from sngan.utils.checks import require

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

_Pair = tuple[Tensor, Tensor]


def adapted_to_sharding(norm: TrackedNorm) -> TrackedNorm:
    """The norm itself where it can be followed by rows or the weight is whole, else gathered.

    By rows it cannot: a bound that is no power iteration; a transposed convolution as a matrix,
    whose rows are not in dimension 0; a convolution of several groups, or one of which some rank
    has no channel; a weight that is not split along dimension 0, and that alone.
    """
    weight = norm.kernel.weight
    if not dtensor.is_sharded(weight):
        return norm
    fewest = _fewest_rows(weight)
    if isinstance(norm, PowerIterationNorm) and fewest is not None and norm.splits(fewest):
        return norm
    require(
        norm.kernel.row_range is None or _rows_are_known(weight),
        "module",
        expected="attention and gates split along one dimension of the mesh",
        got=f"{norm.kernel.parameters[0]!r} split as {weight.placements}",
    )
    return GatheredNorm(norm)


class GatheredNorm(TrackedNorm):
    """Follows a norm on every rank, for which the weight and its gradient are gathered."""

    def __init__(self, norm: TrackedNorm) -> None:
        super().__init__(norm.kernel, factor=norm.factor)
        self._norm = norm

    @override
    def start(self) -> tuple[Tensor, float]:
        return self._norm.start()

    @override
    def project_(self, gradient: Tensor, u: Tensor, share: Tensor | None = None) -> Tensor:
        weight = _sharded_weight(self)
        assert weight.grad is not None
        projected = dtensor.full_tensor(weight.grad)
        wt_u = self._of_full_weight().project_(self.kernel.rows_of(projected), u, share)
        gradient.copy_(self._own(dtensor.local_tensor(dtensor.distribute_like(projected, weight))))
        return wt_u

    @override
    def measure(self, u: Tensor) -> Tensor:
        return self._of_full_weight().measure(u)

    @override
    def advance(self, u: Tensor, wt_u: Tensor, *, iterations: int) -> tuple[Tensor, Tensor]:
        return self._of_full_weight().advance(u, wt_u, iterations=iterations)

    @override
    def weight(self) -> Tensor:
        return self._own(dtensor.local_tensor(self.kernel.weight))

    @override
    def gradient(self) -> Tensor | None:
        gradient = self.kernel.weight.grad
        return None if gradient is None else self._own(dtensor.local_tensor(gradient))

    def _own(self, part: Tensor) -> Tensor:
        """The kernel's rows among those that this rank has of its parameter."""
        if self.kernel.row_range is None:
            return part
        before = _first_row(_sharded_weight(self))
        first, last = (min(max(row - before, 0), len(part)) for row in self.kernel.row_range)
        return part[first:last]

    def _of_full_weight(self) -> TrackedNorm:
        return self._norm.on(self.kernel.rows_of(dtensor.full_tensor(self.kernel.weight)))


class ShardedWeightGroup(WeightGroup):
    """Weights that are sharded alike; what their norms sum over the ranks is summed at once."""

    def __init__(self, norms: list[TrackedNorm], coefficients: Coefficients) -> None:
        weight = _sharded_weight(norms[0])
        # no norm is followed by rows where there is no such dimension
        self._ranks = weight.device_mesh.get_group(_row_mesh_dim(weight) or 0)
        super().__init__(norms, coefficients)

    @override
    def _start(self, index: int) -> tuple[Tensor, float]:
        u, sigma = super()._start(index)
        return self._local_u(index, u).contiguous(), sigma

    @override
    def _measure(self, index: int) -> Tensor:
        wt_u = super()._measure(index)
        return self._all_reduce([wt_u])[0] if self._row_sharded([index]) else wt_u

    @override
    def _project(self, gradients: dict[int, Tensor]) -> dict[int, Tensor]:
        rows = self._row_sharded(gradients)
        wt_u = super()._project({i: g for i, g in gradients.items() if i not in rows})
        shares = self.coefficients.shares(self.scale)
        adjoints = [norm.adjoint(self.u[index]) for index, norm in rows.items()]
        radials = [
            norm.radial(gradients[index], None if shares is None else shares[index])
            for index, norm in rows.items()
        ]
        sums = self._all_reduce([*adjoints, *radials])
        wt_u |= zip(rows, sums[: len(rows)], strict=True)
        for (index, norm), radial in zip(rows.items(), sums[len(rows) :], strict=True):
            norm.subtract_(gradients[index], self.u[index], wt_u[index], radial=radial)
        return {index: wt_u[index] for index in gradients}

    @override
    def _advance(self, wt_u: dict[int, Tensor], iterations: int) -> dict[int, _Pair]:
        rows = self._row_sharded(wt_u)
        moved = super()._advance({i: y for i, y in wt_u.items() if i not in rows}, iterations)
        pairs = {index: (self.u[index], wt_u[index]) for index in rows}
        for _ in range(iterations):
            pairs = self._iterated(rows, pairs)
        return moved | pairs

    def _iterated(
        self, rows: dict[int, PowerIterationNorm], pairs: dict[int, _Pair]
    ) -> dict[int, _Pair]:
        outputs: dict[int, Tensor] = {}
        divisors = self.coefficients.divisors(self.scale)
        for index, (u, wt_u) in pairs.items():
            # divided by the size that it was, Wv is of size one, and so are the squares
            size = length(wt_u) * divisors[index]
            output = rows[index].forward(divided(wt_u, size, 0.0))
            outputs[index] = torch.where(size > 0, output, u)
        # linear in u, so that it can be divided by ‖u‖ after the sum
        adjoints = [rows[index].adjoint(output) for index, output in outputs.items()]
        sums = self._all_reduce(
            [*adjoints, *(output.square().sum() for output in outputs.values())]
        )
        wt_us, sizes = sums[: len(rows)], [square.sqrt() for square in sums[len(rows) :]]
        moved = zip(rows, outputs.values(), wt_us, sizes, strict=True)
        return {
            index: (divided(output, size, pairs[index][0]), divided(wt_u, size, 0.0))
            for index, output, wt_u, size in moved
        }

    @override
    def _full_shape(self, index: int) -> torch.Size:
        norm, u = self.norms[index], self.u[index]
        if not isinstance(norm, PowerIterationNorm):
            return u.shape
        return torch.Size(
            [*u.shape[: norm.axis], len(norm.kernel.weight), *u.shape[norm.axis + 1 :]]
        )

    @override
    def _full_u(self, index: int) -> Tensor:
        norm, u = self.norms[index], self.u[index]
        if not isinstance(norm, PowerIterationNorm):
            return super()._full_u(index)
        whole = u.new_zeros(self._full_shape(index))
        self._part(whole, norm).copy_(u)
        dist.all_reduce(whole, group=self._ranks)
        return whole

    @override
    def _local_u(self, index: int, u: Tensor) -> Tensor:
        norm = self.norms[index]
        return self._part(u, norm) if isinstance(norm, PowerIterationNorm) else u

    def _row_sharded(self, indices: Iterable[int]) -> dict[int, PowerIterationNorm]:
        norms = {index: self.norms[index] for index in indices}
        return {i: norm for i, norm in norms.items() if isinstance(norm, PowerIterationNorm)}

    def _part(self, whole: Tensor, norm: PowerIterationNorm) -> Tensor:
        """The part of this rank of a vector, which is split as the weight is."""
        rows = len(norm.kernel.weight)
        start = dist.get_rank(self._ranks) * _rows_per_rank(rows, dist.get_world_size(self._ranks))
        return whole.narrow(norm.axis, min(start, rows), len(norm.weight()))

    def _all_reduce(self, tensors: list[Tensor]) -> list[Tensor]:
        """Each tensor summed over the ranks, in one all-reduce of all."""
        if not tensors:
            return []
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat, group=self._ranks)
        parts = flat.split([tensor.numel() for tensor in tensors])
        return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def _sharded_weight(norm: TrackedNorm) -> "DTensor":
    weight = norm.kernel.weight
    assert dtensor.is_sharded(weight)
    return weight


def _row_mesh_dim(weight: "DTensor") -> int | None:
    """The dimension of the mesh that splits dimension 0 of a weight, where none splits another."""
    from torch.distributed.tensor import Shard

    splits = {dim: p for dim, p in enumerate(weight.placements) if not p.is_replicate()}
    is_by_rows = [type(p) is Shard and p.dim == 0 for p in splits.values()]
    return next(iter(splits)) if is_by_rows == [True] else None


def _fewest_rows(weight: "DTensor") -> int | None:
    """The length of dimension 0 on the rank that has least; ``None`` if it is not split alone."""
    dim = _row_mesh_dim(weight)
    if dim is None:
        return None
    ranks = weight.device_mesh.size(dim)
    return max(0, len(weight) - (ranks - 1) * _rows_per_rank(len(weight), ranks))


def _rows_are_known(weight: "DTensor") -> bool:
    """Whether one dimension of the mesh at most splits dimension 0 of a weight."""
    others = [p for p in weight.placements if not p.is_replicate() and not p.is_shard(1)]
    return not others or _row_mesh_dim(weight) is not None


def _first_row(weight: "DTensor") -> int:
    """The row of dimension 0 that this rank's part begins with."""
    dim = _row_mesh_dim(weight)
    if dim is None:
        return 0
    mesh = weight.device_mesh
    return mesh.get_local_rank(dim) * _rows_per_rank(len(weight), mesh.size(dim))


def _rows_per_rank(rows: int, ranks: int) -> int:
    """The rows of a rank, but of the last ones, which have what is left."""
    return -(-rows // ranks)
