r"""Sharded weight group: the change of coordinates of weights that FSDP shards by rows.

With ``W = [W₁; …; W_P]`` and ``u = (u₁, …, u_P)``, rank r holds ``W_r`` and ``u_r``:

    Wᵀu = Σ_r W_rᵀu_r,    (Wv)_r = W_r v,    ‖u‖² = Σ_r ‖u_r‖²,    ⟨g, W̄⟩ = Σ_r ⟨g_r, W̄_r⟩

These sums over the ranks give the power iteration of the full weight. Only the vectors ``Wᵀu`` and
some scalars are summed. One all-reduce before the step, and one for each iteration after it, sum
them for all weights together: ``columns + 1`` numbers for each weight.
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor
from typing_extensions import override

from sngan.spectral.coefficients import Coefficients
from sngan.spectral.power_iteration import divided, length
from sngan.spectral.row_sharding import as_sharded, row_mesh_dim, rows_per_rank
from sngan.spectral.tracked_norms.base import PowerIterationNorm, TrackedNorm
from sngan.spectral.weight_group import WeightGroup

_Vectors = tuple[Tensor, Tensor]


class ShardedWeightGroup(WeightGroup):
    """Weights that are sharded in the same way; one all-reduce makes the sums of all of them."""

    def __init__(self, norms: list[TrackedNorm], coefficients: Coefficients) -> None:
        weight = as_sharded(norms[0].kernel.weight)
        # if no mesh dimension shards the rows, all norms are gathered, and this group is not used
        self._process_group = weight.device_mesh.get_group(row_mesh_dim(weight) or 0)
        super().__init__(norms, coefficients)

    @override
    def _start(self, index: int) -> tuple[Tensor, float]:
        u, sigma = super()._start(index)
        return self._local_u(index, u).contiguous(), sigma

    @override
    def _measure(self, index: int) -> Tensor:
        wt_u = super()._measure(index)
        return self._summed([wt_u])[0] if self._row_sharded([index]) else wt_u

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
        sums = self._summed([*adjoints, *radials])
        wt_u |= zip(rows, sums[: len(rows)], strict=True)
        for (index, norm), radial in zip(rows.items(), sums[len(rows) :], strict=True):
            norm.subtract_(gradients[index], self.u[index], wt_u=wt_u[index], radial=radial)
        return {index: wt_u[index] for index in gradients}

    @override
    def _advance(self, wt_u: dict[int, Tensor], iterations: int) -> dict[int, _Vectors]:
        rows = self._row_sharded(wt_u)
        others = {index: vector for index, vector in wt_u.items() if index not in rows}
        moved = super()._advance(others, iterations)
        vectors = {index: (self.u[index], wt_u[index]) for index in rows}
        for _ in range(iterations):
            vectors = self._power_step(rows, vectors)
        return moved | vectors

    def _power_step(
        self, rows: dict[int, PowerIterationNorm], vectors: dict[int, _Vectors]
    ) -> dict[int, _Vectors]:
        """One step of ``power_steps`` for all weights, with one all-reduce.

        ``Wᵀ(Wv)`` and ``‖Wv‖²`` are summed together, and then divided: ``u = Wv/‖Wv‖`` and
        ``Wᵀu = Wᵀ(Wv)/‖Wv‖``.
        """
        outputs: dict[int, Tensor] = {}
        divisors = self.coefficients.divisors(self.scale)
        for index, (u, wt_u) in vectors.items():
            # the division by the older norm keeps ‖Wv‖ near 1, and its square in range
            size = length(wt_u) * divisors[index]
            output = rows[index].forward(divided(wt_u, size, 0.0))
            outputs[index] = torch.where(size > 0, output, u)
        adjoints = [rows[index].adjoint(output) for index, output in outputs.items()]
        squares = [output.square().sum() for output in outputs.values()]
        sums = self._summed([*adjoints, *squares])
        wt_us, sizes = sums[: len(rows)], [square.sqrt() for square in sums[len(rows) :]]
        moved = zip(rows, outputs.values(), wt_us, sizes, strict=True)
        return {
            index: (divided(output, size, vectors[index][0]), divided(wt_u, size, 0.0))
            for index, output, wt_u, size in moved
        }

    @override
    def _full_u_shape(self, index: int) -> torch.Size:
        norm, u = self.norms[index], self.u[index]
        if not isinstance(norm, PowerIterationNorm):
            return u.shape
        rows, axis = len(norm.kernel.weight), norm.u_axis
        return torch.Size([*u.shape[:axis], rows, *u.shape[axis + 1 :]])

    @override
    def _full_u(self, index: int) -> Tensor:
        norm, u = self.norms[index], self.u[index]
        if not isinstance(norm, PowerIterationNorm):
            return super()._full_u(index)
        full = u.new_zeros(self._full_u_shape(index))
        self._local_part(full, norm).copy_(u)
        dist.all_reduce(full, group=self._process_group)
        return full

    @override
    def _local_u(self, index: int, u: Tensor) -> Tensor:
        norm = self.norms[index]
        return self._local_part(u, norm) if isinstance(norm, PowerIterationNorm) else u

    def _row_sharded(self, indices: Iterable[int]) -> dict[int, PowerIterationNorm]:
        """Those of the norms that each rank computes from its own rows, without gathering."""
        norms = {index: self.norms[index] for index in indices}
        return {i: norm for i, norm in norms.items() if isinstance(norm, PowerIterationNorm)}

    def _local_part(self, u: Tensor, norm: PowerIterationNorm) -> Tensor:
        """Return this rank's slice of a full ``u``, which is split like the weight."""
        rows = len(norm.kernel.weight)
        start = dist.get_rank(self._process_group) * rows_per_rank(
            rows, dist.get_world_size(self._process_group)
        )
        return u.narrow(norm.u_axis, min(start, rows), len(norm.weight()))

    def _summed(self, tensors: list[Tensor]) -> list[Tensor]:
        """Return each tensor summed over the ranks, in one all-reduce for all of them."""
        if not tensors:
            return []
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat, group=self._process_group)
        pieces = flat.split([tensor.numel() for tensor in tensors])
        return [piece.view(tensor.shape) for piece, tensor in zip(pieces, tensors, strict=True)]
