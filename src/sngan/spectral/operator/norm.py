"""Operator norm of one linear layer: exact, proved from above, or estimated from below."""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from sngan.spectral.operator.geometry import Geometry, Sizes, geometry_of
from sngan.spectral.operator.gram_bound import convolution_gram_bounds, gram_bound
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
from sngan.spectral.operator.symbol import ROUNDING, grid, supremum, torus_symbol
from sngan.spectral.power_iteration import length, power_steps, unit
from sngan.utils.checks import require, require_one_of
from sngan.utils.scaling import shifted
from sngan.utils.supported_layers import CONVOLUTIONS, TRANSPOSED

NormMethod = Literal["exact", "upper_bound", "gram", "estimate"]

_SMALLEST = 2.0**-1074
_PROVED = ("upper_bound", "gram")
_DENSE_SIDE, _DENSE_ENTRIES = 2048, 2**24
_ESTIMATE_ITERATIONS, _ESTIMATE_TOLERANCE = 500, 1e-7


class Certificate(NamedTuple):
    """A proved upper bound of a layer's norm, the method that found it, and its slack.

    Attributes
    ----------
    norm
        The bound, at least ``sup ‖Tx‖₂/‖x‖₂``.
    method
        How it was found: ``exact`` or ``upper_bound``.
    slack
        The largest relative distance of the bound from the supremum over all frequencies.

    Examples
    --------
    >>> from sngan.spectral import certified_norm
    >>> found = certified_norm(nn.AvgPool2d(2), (1, 4, 4))
    >>> round(found.norm, 6), found.method, found.slack
    (0.5, 'exact', 0.0)
    """

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
    r"""Return :math:`\|T\| = \sup \|Tx\|_2/\|x\|_2` of a linear layer as a map, without its bias.

    The map includes stride, padding, dilation, groups and input size. Its norm is larger than that
    of the reshaped kernel, by a factor of up to :math:`\sqrt{k_h k_w}`. For a convolution with the
    symbol :math:`K(θ) = \sum_p W_p e^{-ip·θ}` (of its polyphase kernel, if it has a stride),
    :math:`\|T\| \le \sup_θ \|K(θ)\|_2` under zero padding.

    Parameters
    ----------
    layer
        Linear, Conv1d/2d/3d, ConvTranspose1d/2d/3d, average pooling, sum pooling (LPPool of norm
        type 1), up-sampling, a padding layer, or batch norm in eval mode.
    input_shape
        The shape of one input, ``(channels, *size)`` or ``(features,)``, without batch dimension.
    method
        - ``"exact"``: a dense SVD for small maps; the Fourier grid for circular padding whose
          stride divides the size; closed forms for the layers without weights.
        - ``"upper_bound"``: a proved bound. It is the maximum over the frequencies of a torus that
          holds the input. If there are too many frequencies, it is the supremum over all
          frequencies by branch and bound, to within 1e-4 if the limit on the search allows it. A
          factor of 1 + 1e-9 covers rounding.
        - ``"gram"``: a proved and differentiable bound by Gram iteration,
          :math:`\|K\|_2 \le \|(K K^*)^{2^t}\|_F^{1/2^{t+1}}`, on a grid of at most 16 frequencies
          a dimension.
        - ``"estimate"``: power iteration through the layer and its adjoint. It approaches the norm
          from below.
    output_size
        The spatial size that a transposed convolution is called with, as in
        ``layer(x, output_size=(8, 8))``; by default the size that its ``output_padding`` gives.

    Returns
    -------
    Tensor
        A float64 scalar on the layer's device. Only ``"gram"`` has a graph to the weight.

    Raises
    ------
    ValueError
        If the layer has no linear form, a shape does not fit it, its weight is complex, integer,
        not finite or on the meta device, the method is unknown, or the map is too large for
        ``"exact"``.

    Examples
    --------
    >>> layer = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    >>> _ = nn.init.ones_(layer.weight)
    >>> round(operator_norm(layer, (1, 32, 32)).item(), 6)  # as a map, proved
    9.0
    >>> round(torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item(), 6)  # as a matrix
    3.0

    References
    ----------
    Sedghi, Gupta, Long 2019, arXiv:1805.10408 (circular convolutions by Fourier transform);
    Pfister, Bresler 2019, DOI 10.1109/TSP.2018.2886164 (from a grid to the supremum); Delattre et
    al. 2023, arXiv:2305.16173 (Gram iteration). Strides by polyphase kernels, the factors of the
    other padding modes, and the branch and bound are new in this library.
    """
    require_one_of(method, "method", choices=_METHODS)
    scaled = _ScaledLayer.of(layer, input_shape, output_size)
    norm = scaled.unscaled(_METHODS[method](scaled), round_up=method in _PROVED)
    return norm.to(scaled.linear.device)


def certified_norm(
    layer: nn.Module, input_shape: tuple[int, ...], *, output_size: tuple[int, ...] | None = None
) -> Certificate:
    """Return the smallest proved upper bound of a layer's norm that is affordable, and its method.

    It is ``"exact"`` times 1 + 1e-9 if :func:`operator_norm` can compute that, else
    ``"upper_bound"``.

    Parameters
    ----------
    layer, input_shape, output_size
        See :func:`operator_norm`.

    Raises
    ------
    ValueError
        If :func:`operator_norm` would raise it.

    Examples
    --------
    >>> certificate = certified_norm(nn.AvgPool2d(2), (3, 8, 8))
    >>> round(certificate.norm, 6), certificate.method
    (0.5, 'exact')
    """
    scaled = _ScaledLayer.of(layer, input_shape, output_size)
    if scaled.is_convolution and not _fits_densely(*scaled.linear.size()):
        found = _convolution_bound(scaled)
    else:
        found = Certificate(float(_exact(scaled)) * ROUNDING, "exact", 0.0)
    norm = torch.tensor(found.norm, dtype=torch.float64, device="cpu")
    return found._replace(norm=float(scaled.unscaled(norm, round_up=True)))


@dataclass(frozen=True)
class _ScaledLayer:
    """A layer for inputs of one shape, with its weight divided by ``2^exponent``.

    The norm is proportional to the weight, but the squares of the original weight may overflow or
    vanish in float64.
    """

    layer: nn.Module
    input_shape: Sizes
    output_size: Sizes | None
    exponent: int
    linear: LinearMap

    @classmethod
    def of(cls, layer: nn.Module, input_shape: Sizes, output_size: Sizes | None) -> "_ScaledLayer":
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

    def unscaled(self, norm: Tensor, *, round_up: bool) -> Tensor:
        """The norm of the original layer; ``round_up`` rounds a subnormal result upwards."""
        found = shifted(norm, self.exponent)
        return found + _SMALLEST * (norm > 0).to(norm) if round_up else found


def _sizes(values: Sequence[int], name: str) -> Sizes:
    try:
        return tuple(operator.index(value) for value in values)
    except TypeError:
        raise ValueError(f"{name}: expected sizes such as (3, 32, 32), got {values!r}") from None


def _exact(scaled: _ScaledLayer) -> Tensor:
    layer = scaled.layer
    if isinstance(layer, nn.Linear):
        return largest_singular_value(scaled.weight().detach())
    if isinstance(layer, BATCH_NORMS):
        return batch_norm_scale(layer, exponent=scaled.exponent).detach().abs().amax()
    if isinstance(layer, tuple(SEPARABLE)):
        return separable_norm(layer, scaled.input_shape)
    geometry = scaled.geometry()
    torus = geometry.torus()
    if torus.is_exact:
        symbol = torus_symbol(scaled.weight().detach(), geometry, torus)
        return torus.factor * symbol.norms(grid(torus.sides)).max()
    rows, columns = scaled.linear.size()
    require(
        _fits_densely(rows, columns),
        "method",
        expected=f"'upper_bound' for a map of more than {_DENSE_SIDE} dimensions",
        got=f"'exact' for {rows}×{columns}",
    )
    return largest_singular_value(scaled.linear.dense())


def _fits_densely(rows: int, columns: int) -> bool:
    return min(rows, columns) <= _DENSE_SIDE and rows * columns <= _DENSE_ENTRIES


def _upper_bound(scaled: _ScaledLayer) -> Tensor:
    if scaled.is_convolution:
        return torch.tensor(_convolution_bound(scaled).norm, dtype=torch.float64, device="cpu")
    return _exact(scaled) * ROUNDING


def _convolution_bound(scaled: _ScaledLayer) -> Certificate:
    geometry = scaled.geometry()
    torus = geometry.torus()
    symbol = torus_symbol(scaled.weight().detach(), geometry, torus)
    frequencies = grid(torus.sides)
    if len(frequencies) <= symbol.affordable_cells():
        norm = torus.factor * float(symbol.norms(frequencies).max())
        return Certificate(norm * ROUNDING, "exact" if torus.is_exact else "upper_bound", 0.0)
    found = supremum(symbol)
    slack = found.upper / found.lower - 1 if found.lower else 0.0
    return Certificate(torus.factor * found.upper * ROUNDING, "upper_bound", slack)


def _gram(scaled: _ScaledLayer) -> Tensor:
    if scaled.is_convolution:
        return convolution_gram_bounds(scaled.weight(), scaled.geometry()).amax()
    if isinstance(scaled.layer, nn.Linear) and scaled.layer.weight.numel() > 0:
        return gram_bound(scaled.weight()) * ROUNDING
    return _exact(scaled) * ROUNDING


@torch.no_grad()
def _estimate(scaled: _ScaledLayer) -> Tensor:
    # power iteration of the adjoint, whose left vectors are inputs of the layer
    linear = scaled.linear
    size = math.prod(linear.input_shape)
    # a fixed start draws no random numbers
    start = torch.arange(size, dtype=torch.float64, device=linear.device).mul_(1.618).cos_()
    start = start.view(1, *linear.input_shape)
    u = unit(start, start)
    output, sigma = linear.forward(u), start.new_zeros(())
    for _ in range(_ESTIMATE_ITERATIONS):
        before, sigma = sigma, length(output)
        if sigma - before <= _ESTIMATE_TOLERANCE * sigma:
            break
        u, output = power_steps(linear.adjoint, linear.forward, u=u, wt_u=output, iterations=1)
    return sigma


_METHODS: dict[str, Callable[[_ScaledLayer], Tensor]] = {
    "exact": _exact,
    "upper_bound": _upper_bound,
    "gram": _gram,
    "estimate": _estimate,
}
