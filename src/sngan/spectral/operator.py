"""The operator norm of one linear layer: exact, proved from above, or estimated from below."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from sngan._checks import require, require_one_of
from sngan.spectral.geometry import Geometry, Sizes, Torus, geometry_of
from sngan.spectral.kernels import CONVOLUTIONS, TRANSPOSED
from sngan.spectral.maps import BATCH_NORMS, SEPARABLE, batch_norm_scale, linear_map, weight_of
from sngan.spectral.symbol import Symbol, grid, supremum

NormMethod = Literal["exact", "upper_bound", "gram", "estimate"]

# float64 eigenvalues are good to some 1e-12; a proof leaves room for a thousand times that
_ROUNDING = 1 + 1e-9
_DENSE_SIDE, _DENSE_ENTRIES = 2048, 2**24
_GRAM_ITERATIONS = 6
_ESTIMATE_ITERATIONS, _ESTIMATE_TOLERANCE = 500, 1e-7


class Certificate(NamedTuple):
    """A proved upper bound of a layer's norm, the method, and by how much it may be too large."""

    norm: float
    method: str
    slack: float


def operator_norm(
    layer: nn.Module, input_shape: tuple[int, ...], *, method: NormMethod = "upper_bound"
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

    Returns
    -------
    Tensor
        A float64 scalar on the layer's device; only ``"gram"`` has a graph to the weight.

    Raises
    ------
    ValueError
        A layer without linear form, a shape that does not fit it, a weight that is complex,
        integer or not finite, an unknown method, or ``"exact"`` for a map too large for it.

    References
    ----------
    Sedghi, Gupta, Long 2019, arXiv:1805.10408 (circular convolutions by Fourier transform);
    Pfister, Bresler 2019, DOI 10.1109/TSP.2018.2886164 (from a grid to the supremum); Delattre et
    al. 2023, arXiv:2305.16173 (Gram iteration). Ours: strides by polyphase kernels, the factors of
    the other padding modes, the search.
    """
    require_one_of(method, "method", choices=_METHODS)
    input_shape = tuple(input_shape)
    linear = linear_map(layer, input_shape)
    return _METHODS[method](layer, input_shape).to(linear.device)


def certified_norm(layer: nn.Module, input_shape: tuple[int, ...]) -> Certificate:
    """Return the smallest proved upper bound of a layer's norm that is affordable, and its method.

    ``exact`` where :func:`operator_norm` can be, else ``upper_bound``; times 1 + 1e-9.
    """
    input_shape = tuple(input_shape)
    linear = linear_map(layer, input_shape)
    is_convolution = isinstance(layer, (*CONVOLUTIONS, *TRANSPOSED))
    if is_convolution and not _fits_densely(*linear.size()):
        return _convolution_bound(weight_of(layer).detach(), geometry_of(layer, input_shape))
    return Certificate(float(_exact(layer, input_shape)) * _ROUNDING, "exact", 0.0)


def _exact(layer: nn.Module, input_shape: Sizes) -> Tensor:
    if isinstance(layer, nn.Linear):
        return _largest(weight_of(layer).detach())
    if isinstance(layer, BATCH_NORMS):
        return batch_norm_scale(layer).detach().abs().amax()
    if isinstance(layer, tuple(SEPARABLE)):
        return _separable_norm(layer, input_shape)
    geometry = geometry_of(layer, input_shape)
    torus = geometry.torus()
    if torus.is_exact:
        symbol = _symbol(weight_of(layer).detach(), geometry, torus)
        return torus.factor * symbol.norms(grid(torus.sides)).max()
    linear = linear_map(layer, input_shape)
    rows, columns = linear.size()
    require(
        _fits_densely(rows, columns),
        "method",
        expected=f"'upper_bound' for a map of more than {_DENSE_SIDE} dimensions",
        got=f"'exact' for {rows}×{columns}",
    )
    return _largest(linear.dense())


def _fits_densely(rows: int, columns: int) -> bool:
    return min(rows, columns) <= _DENSE_SIDE and rows * columns <= _DENSE_ENTRIES


def _largest(matrix: Tensor) -> Tensor:
    """The largest singular value; by the smaller Gram matrix's largest eigenvalue."""
    gram = matrix @ matrix.t() if matrix.shape[0] <= matrix.shape[1] else matrix.t() @ matrix
    return torch.linalg.eigvalsh(gram)[-1].clamp_min(0.0).sqrt()


def _separable_norm(layer: nn.Module, input_shape: Sizes) -> Tensor:
    """Norm of ``T = A_1 ⊗ … ⊗ A_d``, the product of those of its factors.

    Let t be the largest entry, at the place m, of ``T(1 ⊗ … ⊗ 1)``. ``T(1 ⊗ e_i ⊗ 1)``, read along
    dimension j through m, is ``A_j e_i`` times a number; the product of these numbers is
    ``t^{d−1}``.
    """
    linear = linear_map(layer, (1, *input_shape[1:]))
    ones = torch.ones_like(linear.zeros())
    response = linear.forward(ones)[0, 0]
    place = [int(index) for index in torch.unravel_index(response.abs().argmax(), response.shape)]
    norm = response[tuple(place)].abs() ** (1 - len(place))
    for axis, length in enumerate(input_shape[1:]):
        probe = torch.eye(length, dtype=torch.float64)
        probe = probe.view(length, 1, *[length if a == axis else 1 for a in range(len(place))])
        images = linear.forward(probe * ones)[:, 0]
        norm = norm * _largest(
            images[(slice(None), *place[:axis], slice(None), *place[axis + 1 :])]
        )
    return norm


def _upper_bound(layer: nn.Module, input_shape: Sizes) -> Tensor:
    if isinstance(layer, (*CONVOLUTIONS, *TRANSPOSED)):
        geometry = geometry_of(layer, input_shape)
        norm = _convolution_bound(weight_of(layer).detach(), geometry).norm
        return torch.tensor(norm, dtype=torch.float64)
    return _exact(layer, input_shape) * _ROUNDING


def _convolution_bound(weight: Tensor, geometry: Geometry) -> Certificate:
    torus = geometry.torus()
    symbol = _symbol(weight, geometry, torus)
    frequencies = grid(torus.sides)
    if len(frequencies) <= symbol.affordable_cells():
        norm = torus.factor * float(symbol.norms(frequencies).max())
        return Certificate(norm * _ROUNDING, "exact" if torus.is_exact else "upper_bound", 0.0)
    found = supremum(symbol)
    slack = found.upper / found.lower - 1 if found.lower else 0.0
    return Certificate(torus.factor * found.upper * _ROUNDING, "upper_bound", slack)


def _symbol(weight: Tensor, geometry: Geometry, torus: Torus) -> Symbol:
    return Symbol.of(geometry.grouped(weight), stride=torus.stride, dilation=torus.dilation)


def _gram(layer: nn.Module, input_shape: Sizes) -> Tensor:
    if isinstance(layer, (*CONVOLUTIONS, *TRANSPOSED)):
        geometry = geometry_of(layer, input_shape)
        return convolution_gram_bounds(weight_of(layer), geometry).amax()
    if isinstance(layer, nn.Linear):
        return gram_bound(weight_of(layer)) * _ROUNDING
    return _exact(layer, input_shape) * _ROUNDING


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
def _estimate(layer: nn.Module, input_shape: Sizes) -> Tensor:
    linear = linear_map(layer, input_shape)
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


_METHODS: dict[str, Callable[[nn.Module, Sizes], Tensor]] = {
    "exact": _exact,
    "upper_bound": _upper_bound,
    "gram": _gram,
    "estimate": _estimate,
}
