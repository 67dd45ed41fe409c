"""The operator norm of one linear layer: exact, proved from above, or estimated from below."""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from sngan.spectral.operator.geometry import Geometry, Sizes, Torus, geometry_of
from sngan.spectral.operator.linear_map import (
    BATCH_NORMS,
    SEPARABLE,
    LinearMap,
    batch_norm_scale,
    linear_map,
    scale_exponent,
    weight_of,
)
from sngan.spectral.operator.separable import largest_singular_value, separable_norm
from sngan.spectral.operator.symbol import Symbol, grid, supremum
from sngan.spectral.supported_layers import CONVOLUTIONS, TRANSPOSED
from sngan.utils.checks import require, require_one_of
from sngan.utils.scaling import shifted

NormMethod = Literal["exact", "upper_bound", "gram", "estimate"]

# float64 eigenvalues are good to some 1e-12; a proof leaves room for a thousand times that
_ROUNDING = 1 + 1e-9
_SMALLEST = 2.0**-1074
_PROVED = ("upper_bound", "gram")
_DENSE_SIDE, _DENSE_ENTRIES = 2048, 2**24
_GRAM_ITERATIONS = 6
_ESTIMATE_ITERATIONS, _ESTIMATE_TOLERANCE = 500, 1e-7


class Certificate(NamedTuple):
    """A proved upper bound of a layer's norm, the method, and by how much it may be too large."""

    norm: float
    method: str
    slack: float


def operator_norm(
    layer: nn.Module,
    input_shape: tuple[int, ...],
    *,
    method: NormMethod = "upper_bound",
    output_size: tuple[int, ...] | None = None,
) -> Tensor:
    r"""Return :math:`\|T\| = \sup \|Tx\|_2/\|x\|_2` of a linear layer as a map, bias aside.

    With its stride, padding, dilation, groups and input size: not the norm of the reshaped kernel,
    which is smaller by a factor of up to :math:`\sqrt{k_h k_w}`. For a convolution with the symbol
    :math:`K(θ) = \sum_p W_p e^{-ip·θ}` (of its polyphase kernel, where it has a stride),
    :math:`\|T\| \le \sup_θ \|K(θ)\|_2` under zero padding.

    Parameters
    ----------
    layer
        Linear, Conv1d/2d/3d, ConvTranspose1d/2d/3d, average pooling, sum pooling (LPPool of norm
        type 1), up-sampling, a padding layer, or batch norm in eval mode.
    input_shape
        Shape of one input, ``(channels, *size)`` or ``(features,)``, without batch dimension.
    method
        - ``"exact"``: a dense SVD for small maps, the Fourier grid where it is exact (circular
          padding whose stride divides the size), closed forms for the layers without weights.
        - ``"upper_bound"``: proved. The maximum over the frequencies of a torus that holds the
          input or, where these are too many, a branch and bound of the supremum over all
          frequencies, to within 1e-4 where time allows; times 1 + 1e-9 against rounding.
        - ``"gram"``: proved and differentiable. Gram iteration,
          :math:`\|K\|_2 \le \|(K K^*)^{2^t}\|_F^{1/2^{t+1}}`, on a grid of at most 16 frequencies
          a dimension.
        - ``"estimate"``: power iteration through the layer and its adjoint, from below.
    output_size
        The spatial size that a transposed convolution is called with, as in
        ``layer(x, output_size=(8, 8))``; by default the one that its ``output_padding`` gives.

    Returns
    -------
    Tensor
        A float64 scalar on the layer's device; only ``"gram"`` has a graph to the weight.

    Raises
    ------
    ValueError
        If the layer has no linear form, a shape does not fit it, its weight is complex, integer,
        not finite or on the meta device, the method is unknown, or the map is too large for
        ``"exact"``.

    References
    ----------
    Sedghi, Gupta, Long 2019, arXiv:1805.10408 (circular convolutions by Fourier transform);
    Pfister, Bresler 2019, DOI 10.1109/TSP.2018.2886164 (from a grid to the supremum); Delattre et
    al. 2023, arXiv:2305.16173 (Gram iteration). Ours: strides by polyphase kernels, the factors of
    the other padding modes, the search.
    """
    require_one_of(method, "method", choices=_METHODS)
    case = _Case.of(layer, input_shape, output_size)
    norm = case.in_units(_METHODS[method](case), up=method in _PROVED)
    return norm.to(case.linear.device)


def certified_norm(
    layer: nn.Module, input_shape: tuple[int, ...], *, output_size: tuple[int, ...] | None = None
) -> Certificate:
    """Return the smallest proved upper bound of a layer's norm that is affordable, and its method.

    ``exact`` where :func:`operator_norm` can be, else ``upper_bound``; times 1 + 1e-9.
    """
    case = _Case.of(layer, input_shape, output_size)
    if case.is_convolution and not _fits_densely(*case.linear.size()):
        found = _convolution_bound(case)
    else:
        found = Certificate(float(_exact(case)) * _ROUNDING, "exact", 0.0)
    norm = case.in_units(torch.tensor(found.norm, dtype=torch.float64, device="cpu"), up=True)
    return found._replace(norm=float(norm))


@dataclass(frozen=True)
class _Case:
    """A layer on inputs of one shape, and the power of two that its weight is divided by.

    A norm is proportional to the weight, whose squares may lie beyond float64.
    """

    layer: nn.Module
    input_shape: Sizes
    output_size: Sizes | None
    exponent: int
    linear: LinearMap

    @classmethod
    def of(cls, layer: nn.Module, input_shape: Sizes, output_size: Sizes | None) -> "_Case":
        shape = _sizes(input_shape, "input_shape")
        size = None if output_size is None else _sizes(output_size, "output_size")
        exponent = scale_exponent(layer)
        linear = linear_map(layer, shape, output_size=size, exponent=exponent)
        return cls(layer, shape, size, exponent, linear)

    @property
    def is_convolution(self) -> bool:
        return isinstance(self.layer, (*CONVOLUTIONS, *TRANSPOSED))

    def weight(self) -> Tensor:
        """The scaled weight, with its graph."""
        return weight_of(self.layer, exponent=self.exponent)

    def geometry(self) -> Geometry:
        return geometry_of(self.layer, self.input_shape, output_size=self.output_size)

    def in_units(self, norm: Tensor, *, up: bool) -> Tensor:
        """The norm of the layer itself; ``up``: rounded so where it is subnormal."""
        found = shifted(norm, self.exponent)
        return found + _SMALLEST * (norm > 0).to(norm) if up else found


def _sizes(values: Sequence[int], name: str) -> Sizes:
    try:
        return tuple(operator.index(value) for value in values)
    except TypeError:
        raise ValueError(f"{name}: expected sizes such as (3, 32, 32), got {values!r}") from None


def _exact(case: _Case) -> Tensor:
    layer = case.layer
    if isinstance(layer, nn.Linear):
        return largest_singular_value(case.weight().detach())
    if isinstance(layer, BATCH_NORMS):
        return batch_norm_scale(layer, exponent=case.exponent).detach().abs().amax()
    if isinstance(layer, tuple(SEPARABLE)):
        return separable_norm(layer, case.input_shape)
    geometry = case.geometry()
    torus = geometry.torus()
    if torus.is_exact:
        symbol = _symbol(case.weight().detach(), geometry, torus)
        return torus.factor * symbol.norms(grid(torus.sides)).max()
    rows, columns = case.linear.size()
    require(
        _fits_densely(rows, columns),
        "method",
        expected=f"'upper_bound' for a map of more than {_DENSE_SIDE} dimensions",
        got=f"'exact' for {rows}×{columns}",
    )
    return largest_singular_value(case.linear.dense())


def _fits_densely(rows: int, columns: int) -> bool:
    return min(rows, columns) <= _DENSE_SIDE and rows * columns <= _DENSE_ENTRIES


def _upper_bound(case: _Case) -> Tensor:
    if case.is_convolution:
        return torch.tensor(_convolution_bound(case).norm, dtype=torch.float64, device="cpu")
    return _exact(case) * _ROUNDING


def _convolution_bound(case: _Case) -> Certificate:
    geometry = case.geometry()
    torus = geometry.torus()
    symbol = _symbol(case.weight().detach(), geometry, torus)
    frequencies = grid(torus.sides)
    if len(frequencies) <= symbol.affordable_cells():
        norm = torus.factor * float(symbol.norms(frequencies).max())
        return Certificate(norm * _ROUNDING, "exact" if torus.is_exact else "upper_bound", 0.0)
    found = supremum(symbol)
    slack = found.upper / found.lower - 1 if found.lower else 0.0
    return Certificate(torus.factor * found.upper * _ROUNDING, "upper_bound", slack)


def _symbol(weight: Tensor, geometry: Geometry, torus: Torus) -> Symbol:
    return Symbol.of(geometry.grouped(weight), stride=torus.stride, dilation=torus.dilation)


def _gram(case: _Case) -> Tensor:
    if case.is_convolution:
        return convolution_gram_bounds(case.weight(), case.geometry()).amax()
    if isinstance(case.layer, nn.Linear) and case.layer.weight.numel() > 0:
        return gram_bound(case.weight()) * _ROUNDING
    return _exact(case) * _ROUNDING


def convolution_gram_bounds(
    weight: Tensor, geometry: Geometry, index: Tensor | None = None
) -> Tensor:
    """Differentiable bounds at each frequency of a small torus, or at some: ``(frequencies,)``.

    The largest of all bounds the convolution's norm.
    """
    torus = geometry.small_torus()
    frequencies = grid(torus.sides).to(weight.device)
    if index is not None:
        frequencies = frequencies[index]
    matrices = _symbol(weight, geometry, torus).matrices(frequencies)
    return gram_bound(matrices).amax(1) * (torus.factor * _ROUNDING)


def gram_bound(matrices: Tensor, *, iterations: int = _GRAM_ITERATIONS) -> Tensor:
    """``‖(K K*)^{2^t}‖_F^{1/2^{t+1}} ≥ ‖K‖₂`` of matrices ``(..., rows, columns)``.

    At most ``min(rows, columns)^{1/2^{t+2}}`` times the norm. Scaled in every iteration, so that
    nothing overflows. Source: Delattre et al. 2023, arXiv:2305.16173.
    """
    scale = matrices.abs().amax((-2, -1), keepdim=True)
    scale = scale.clamp_min(torch.finfo(scale.dtype).tiny)
    matrices = matrices / scale
    wide = matrices.shape[-2] <= matrices.shape[-1]
    gram = matrices @ matrices.mH if wide else matrices.mH @ matrices
    logarithm = scale[..., 0, 0].log()
    for iteration in range(iterations + 1):
        size = _frobenius(gram)
        logarithm = logarithm + size[..., 0, 0].log() * 0.5 ** (iteration + 1)
        if iteration < iterations:
            gram = gram / size
            gram = gram @ gram
    return logarithm.exp()


def _frobenius(matrices: Tensor) -> Tensor:
    norms = torch.linalg.matrix_norm(matrices, keepdim=True)
    return norms.clamp_min(torch.finfo(norms.dtype).tiny)


@torch.no_grad()
def _estimate(case: _Case) -> Tensor:
    linear = case.linear
    # from a fixed start, so that no random number generator is touched
    size = math.prod(linear.input_shape)
    start = torch.arange(size, dtype=torch.float64, device=linear.device).mul_(1.618).cos_()
    v, sigma = start.view(1, *linear.input_shape), start.new_zeros(())
    for _ in range(_ESTIMATE_ITERATIONS):
        length = torch.linalg.vector_norm(v)
        if length == 0:
            break
        image = linear.forward(v / length)
        before, sigma = sigma, torch.linalg.vector_norm(image)
        if sigma - before <= _ESTIMATE_TOLERANCE * sigma:
            break
        v = linear.adjoint(image)
    return sigma


_METHODS: dict[str, Callable[[_Case], Tensor]] = {
    "exact": _exact,
    "upper_bound": _upper_bound,
    "gram": _gram,
    "estimate": _estimate,
}
