"""Matrix norm: the spectral norm of a kernel reshaped to a matrix, by power iteration."""

from torch import Tensor
from typing_extensions import override

from sngan.spectral.tracked_norms.base import PowerIterationNorm


class MatrixNorm(PowerIterationNorm):
    """The spectral norm of the reshaped kernel: ``∂σ/∂W = uvᵀ`` (Miyato et al. 2018)."""

    u_axis = 0

    @override
    def can_be_split(self, rows: int) -> bool:
        return self.kernel.row_dim == 0 and self.kernel.row_range is None

    @override
    def u_shape(self) -> tuple[int, ...]:
        return (self.kernel.rows,)

    @override
    def forward(self, v: Tensor) -> Tensor:
        return self.kernel.matrix(self.weight()).mv(v)

    @override
    def adjoint(self, u: Tensor) -> Tensor:
        return self.kernel.matrix(self.weight()).t().mv(u)

    @override
    def add_derivative_(self, tensor: Tensor, u: Tensor, v: Tensor, *, alpha: float) -> None:
        self.kernel.add_outer_(tensor, u, v, alpha=alpha)
