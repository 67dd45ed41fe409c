"""Bracket of the exact ``W_1`` of two samples, and a bound for the distributions behind them."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from sngan.transport.exact import wasserstein
from sngan.transport.points import EPSILON, as_float64
from sngan.transport.potentials import optimal_potential
from sngan.utils.checks import require
from sngan.utils.real_arrays import Array, Reals, real_tensor

# makes the norm of a unit vector at most 1 in spite of rounding
_ROOM = 1e-12
Critic = Callable[[Tensor], Array]


@dataclass(frozen=True)
class Bracket:
    """The exact ``W_1`` of two samples with its proof, and a bound that does not grow with noise.

    Attributes
    ----------
    distance
        ``W_1`` of the samples, in their units. Its mean over samples is at least the ``W_1`` of the
        distributions, and far above it for few samples in many dimensions.
    lower, upper
        A proved bracket of it, from the dual potentials and from the plan.
    held_out
        ``E φ(x) − E φ(y)`` of a function φ with slopes of at most 1 that was fitted to one half of
        the samples, on the other half; the mean of both ways, or 0 if that is negative. φ is the
        optimal critic, or the linear function along the difference of the means: the one that does
        better within the first half. On each half it is at most the exact ``W_1`` of that half. Its
        mean over samples, before negative values become 0, is at most the ``W_1`` of the
        distributions.
    n_x, n_y
        The sizes of the samples.

    Examples
    --------
    >>> import torch
    >>> x = torch.arange(8.0)
    >>> found = wasserstein_bracket(x, x + 3)
    >>> found.lower <= 3 <= found.upper, round(found.held_out, 6)
    (True, 3.0)
    """

    distance: float
    lower: float
    upper: float
    held_out: float
    n_x: int
    n_y: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


def wasserstein_bracket(x: Reals, y: Reals) -> Bracket:
    """Bracket ``W_1`` between two samples, and between the distributions that they come from.

    The optimal critic of one half is continued to all points as
    :func:`sngan.transport.optimal_potential` does. Every second point is in the same half.

    Parameters
    ----------
    x, y
        Samples ``(n, ...)`` and ``(m, ...)``, at least two each, in an order that says nothing:
        floating-point tensors, on any device, arrays, or lists of numbers.

    Raises
    ------
    ValueError
        If a sample has fewer than two points, or :func:`wasserstein` would raise it.

    Examples
    --------
    >>> import torch
    >>> from sngan.transport import wasserstein_bracket
    >>> line = torch.linspace(0.0, 1.0, 8).double()[:, None]
    >>> found = wasserstein_bracket(line + 3.0, line)
    >>> found.lower <= found.distance <= found.upper, round(found.distance, 9)
    (True, 3.0)
    """
    a, b = _samples(x, "x"), _samples(y, "y")
    found = wasserstein(a, b)
    # the squares of distances would overflow or vanish; a power of two rounds nothing
    size = 2.0 ** (math.frexp(max(float(a.abs().max()), float(b.abs().max())))[1] - 1)
    a, b = a / size, b / size
    ways = [_held_out(a[k::2], b[k::2], a[1 - k :: 2], b[1 - k :: 2]) for k in (0, 1)]
    held_out = max(0.0, sum(ways) / 2) * size
    return Bracket(found.distance, found.lower, found.upper, held_out, len(a), len(b))


def _samples(values: Reals, name: str) -> Tensor:
    samples = real_tensor(values, name, expected="samples (n, ...)").double().cpu()
    require(samples.ndim > 0, name, expected="samples (n, ...)", got="a single number")
    require(len(samples) > 1, name, expected="at least two points", got=len(samples))
    return samples.reshape(len(samples), -1)


def _held_out(x: Tensor, y: Tensor, new_x: Tensor, new_y: Tensor) -> float:
    """Return the bound of ``W_1`` between new points by the better critic of others."""
    fit = _optimal
    if min(len(x), len(y)) > 1:
        quarters = (x[::2], y[::2], x[1::2], y[1::2])
        fit = max((_optimal, _linear), key=lambda fit: _bound(fit(*quarters[:2]), *quarters[2:]))
    return _bound(fit(x, y), new_x, new_y)


def _bound(critic: Critic, x: Tensor, y: Tensor) -> float:
    above, below = critic(x), critic(y)
    # distances, products and means are rounded
    size = abs(above).max() + abs(below).max() + float(x.abs().max() + y.abs().max())
    lost = (x.shape[1] + len(x) + len(y) + 8) * EPSILON * size
    return float(above.mean() - below.mean() - x.shape[1] * lost)


def _optimal(x: Tensor, y: Tensor) -> Critic:
    potential = wasserstein(x, y).potential_y
    return lambda points: optimal_potential(points, y, potential)


def _linear(x: Tensor, y: Tensor) -> Critic:
    difference = x.mean(0) - y.mean(0)
    # a scale keeps the squares away from overflow and underflow
    difference = difference / difference.abs().max().clamp_min(torch.finfo(x.dtype).tiny)
    direction = (1 - _ROOM) * difference / difference.norm().clamp_min(1.0)
    return lambda points: as_float64(points @ direction, "points")
