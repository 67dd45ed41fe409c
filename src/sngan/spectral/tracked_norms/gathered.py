"""Gathered norm: the norm of a sharded weight, computed from the full weight on every rank."""

from torch import Tensor
from typing_extensions import override

from sngan.distributed import dtensor
from sngan.spectral.row_sharding import as_sharded, fewest_rows, first_row, rows_are_known
from sngan.spectral.tracked_norms.base import PowerIterationNorm, TrackedNorm
from sngan.utils.checks import require


def adapted_to_sharding(norm: TrackedNorm) -> TrackedNorm:
    """Return the norm itself if each rank can work on its own rows, else a :class:`GatheredNorm`.

    A rank needs more than its own rows in these cases:

    - a bound by Gram iteration;
    - a transposed convolution as a matrix, because its rows are not in dimension 0;
    - a convolution with several groups, or without a channel on some rank;
    - a weight that is not sharded along dimension 0 alone.
    """
    if not dtensor.is_sharded(norm.kernel.weight):
        return norm
    weight = as_sharded(norm.kernel.weight)
    fewest = fewest_rows(weight)
    if isinstance(norm, PowerIterationNorm) and fewest is not None and norm.can_be_split(fewest):
        return norm
    require(
        norm.kernel.row_range is None or rows_are_known(weight),
        "module",
        expected="attention and gates split along one dimension of the mesh",
        got=f"{norm.kernel.parameters[0]!r} split as {weight.placements}",
    )
    return GatheredNorm(norm)


class GatheredNorm(TrackedNorm):
    """Tracks a norm of a sharded weight on every rank; it gathers the weight and the gradient."""

    def __init__(self, norm: TrackedNorm) -> None:
        super().__init__(norm.kernel, factor=norm.factor)
        self._norm = norm

    @override
    def start(self) -> tuple[Tensor, float]:
        return self._norm.start()

    @override
    def project_(self, gradient: Tensor, u: Tensor, share: Tensor | None = None) -> Tensor:
        weight = as_sharded(self.kernel.weight)
        assert weight.grad is not None
        full = dtensor.full_tensor(weight.grad)
        wt_u = self._of_full_weight().project_(self.kernel.rows_of(full), u, share)
        local = dtensor.local_tensor(dtensor.distribute_like(full, weight))
        gradient.copy_(self._local_rows(local))
        return wt_u

    @override
    def measure(self, u: Tensor) -> Tensor:
        return self._of_full_weight().measure(u)

    @override
    def advance(self, u: Tensor, wt_u: Tensor, *, iterations: int) -> tuple[Tensor, Tensor]:
        return self._of_full_weight().advance(u, wt_u, iterations=iterations)

    @override
    def weight(self) -> Tensor:
        return self._local_rows(dtensor.local_tensor(self.kernel.weight))

    @override
    def gradient(self) -> Tensor | None:
        gradient = self.kernel.weight.grad
        return None if gradient is None else self._local_rows(dtensor.local_tensor(gradient))

    def _local_rows(self, local: Tensor) -> Tensor:
        """The kernel's rows among the rows of its parameter that this rank holds."""
        if self.kernel.row_range is None:
            return local
        before = first_row(as_sharded(self.kernel.weight))
        first, last = (min(max(row - before, 0), len(local)) for row in self.kernel.row_range)
        return local[first:last]

    def _of_full_weight(self) -> TrackedNorm:
        return self._norm.with_weight(self.kernel.rows_of(dtensor.full_tensor(self.kernel.weight)))
