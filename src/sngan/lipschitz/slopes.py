r"""A bound of dense networks that uses how activations and layers fit together.

For an activation whose slopes lie in ``[a, b]``, changes ``z`` of its input and ``x`` of its output
satisfy ``(x − az)ᵀΛ(bz − x) ≥ 0`` for every diagonal ``Λ ≥ 0``. Start with ``P₀ = I``. A layer
``z = W x'`` followed by the activation takes ``x'ᵀPx' ≤ ‖Δinput‖²`` to ``xᵀP⁺x ≤ ‖Δinput‖²`` if

.. math:: \begin{pmatrix} P + ab\,W^\top\!ΛW & -\tfrac{a+b}{2} W^\top Λ \\
          -\tfrac{a+b}{2} ΛW & Λ - P^+ \end{pmatrix} \succeq 0,

and the largest such P⁺ is the Schur complement
``Λ − (a+b)²/4 · ΛW(P + ab WᵀΛW)⁻¹WᵀΛ``. With the last layer W the constant is at most
``√λ_max(W P⁻¹ Wᵀ)``. Any Λ gives a proof. ``Λ = 2/(b(b−a)s)·I`` with ``s = λ_max(WP⁻¹Wᵀ)`` is in
closed form and never worse than the product of the norms: ECLipsE-Fast of Xu, Sivaranjani 2024,
arXiv:2404.04375, with our extension to a ≠ 0. The best diagonal Λ gives LipSDP-Neuron of Fazlyab
et al. 2019, arXiv:1906.04893. The bound is checked afterwards: the block matrices that prove it
must be positive definite with room for rounding.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Slopes = tuple[float, float]

_STEPS = 200
_RATE = 0.1
_SLOWER = 0.5
# what is given up of P⁺ so that its block matrix is safely definite
_SHRINKS = (1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
# the search stays where the check will pass: off the edge where P⁺ turns singular
_SEARCH_SHRINK = 1e-4
_EPSILON = 2.0**-52


@dataclass(frozen=True)
class Layered:
    """``W_l φ(W_{l−1} … φ(W_1 x))``: matrices of norm 1, and the slopes between them."""

    weights: Sequence[Tensor]
    slopes: Sequence[Slopes]


def slope_bound(
    weights: Sequence[Tensor], slopes: Sequence[Slopes], *, optimized: bool
) -> float | None:
    """A proved constant of ``W_l φ(… φ(W_1 x))``, or None where the check of the proof fails.

    ``slopes`` has one range for each gap between the matrices; all must have ``|a| ≠ |b|``.
    ``optimized`` searches for the best Λ, otherwise the closed form counts.
    """
    ranges = [(-high, -low) if -low > high else (low, high) for low, high in slopes]
    norms = [float(torch.linalg.matrix_norm(weight, 2)) for weight in weights]
    if not all(0.0 < norm < math.inf for norm in norms):
        return None
    if any(abs(low) >= high for low, high in ranges):
        return None
    # φ(σz)/σ has the slopes of φ, so the norms can be taken out
    units = [weight / norm for weight, norm in zip(weights, norms, strict=True)]
    network = Layered(units, ranges)
    multipliers = _closed_form(network)
    if multipliers is None:
        return None
    constant = _proved(network, multipliers)
    if optimized:
        better = _proved(network, _optimized(network, multipliers))
        constant = min((c for c in (constant, better) if c is not None), default=None)
    return None if constant is None else math.prod(norms) * constant * (1 + 1e-12 * len(norms))


def _closed_form(network: Layered) -> list[Tensor] | None:
    found: list[Tensor] = []
    weight = network.weights[0]
    p = torch.eye(weight.shape[1], dtype=weight.dtype, device=weight.device)
    for weight, (low, high) in zip(network.weights, network.slopes, strict=False):
        stretch = _stretch(weight, p)
        if stretch is None:
            return None
        size = 2 / (high * (high - low) * float(stretch))
        found.append(torch.full_like(weight[:, 0], size))
        p = _next(p, weight, found[-1], (low, high))
        if p is None:
            return None
    return found


def _optimized(network: Layered, start: list[Tensor]) -> list[Tensor]:
    """Adam on log Λ for the logarithm of the bound; back to the best, slower, off the cone."""
    best, best_value = start, math.inf
    rate = _RATE
    logs, optimizer = _restarted(best, rate)
    for step in range(_STEPS):
        with torch.enable_grad():
            value = _squared(network, [log.exp() for log in logs])
        if value is None:
            rate *= _SLOWER
            logs, optimizer = _restarted(best, rate)
            continue
        reached = float(value.detach())
        if reached < best_value:
            best, best_value = [log.detach().exp() for log in logs], reached
        optimizer.zero_grad()
        value.log().backward()
        # towards 0, so that the largest eigenvalue stops jumping between its rivals
        optimizer.param_groups[0]["lr"] = rate * (1 - step / _STEPS)
        optimizer.step()
    return best


def _restarted(
    multipliers: Sequence[Tensor], rate: float
) -> tuple[list[Tensor], torch.optim.Optimizer]:
    logs = [multiplier.log().requires_grad_() for multiplier in multipliers]
    return logs, torch.optim.Adam(logs, lr=rate)


def _squared(network: Layered, multipliers: Sequence[Tensor]) -> Tensor | None:
    first = network.weights[0]
    p: Tensor | None = torch.eye(first.shape[1], dtype=first.dtype, device=first.device)
    steps = zip(network.weights, multipliers, network.slopes, strict=False)
    for weight, multiplier, slopes in steps:
        p = _next(p, weight, multiplier, slopes, shrink=_SEARCH_SHRINK)
        if p is None:
            return None
    return _stretch(network.weights[-1], p)


def _next(
    p: Tensor, weight: Tensor, multiplier: Tensor, slopes: Slopes, *, shrink: float = 0.0
) -> Tensor | None:
    """``P⁺ − shrink·Λ``, or None where P + ab WᵀΛW is not positive definite."""
    low, high = slopes
    inner = _inner(p, weight, multiplier, slopes)
    factor, failed = torch.linalg.cholesky_ex(inner)
    if failed:
        return None
    half = torch.linalg.solve_triangular(factor, weight.t() * multiplier, upper=False)
    return torch.diag((1 - shrink) * multiplier) - ((low + high) / 2) ** 2 * half.t() @ half


def _inner(p: Tensor, weight: Tensor, multiplier: Tensor, slopes: Slopes) -> Tensor:
    low, high = slopes
    if low == 0.0:
        return p
    return p + low * high * (weight.t() * multiplier) @ weight


def _stretch(weight: Tensor, p: Tensor) -> Tensor | None:
    """``λ_max(W P⁻¹ Wᵀ)``."""
    factor, failed = torch.linalg.cholesky_ex(p)
    if failed:
        return None
    half = torch.linalg.solve_triangular(factor, weight.t(), upper=False)
    small = half.t() @ half if weight.shape[0] <= weight.shape[1] else half @ half.t()
    return torch.linalg.eigvalsh(small)[-1]


def _proved(network: Layered, multipliers: Sequence[Tensor]) -> float | None:
    """The smallest constant whose block matrices are definite beyond doubt."""
    for shrink in _SHRINKS:
        constant = _certified(network, multipliers, shrink)
        if constant is not None:
            return constant
    return None


def _certified(network: Layered, multipliers: Sequence[Tensor], shrink: float) -> float | None:
    first = network.weights[0]
    p = torch.eye(first.shape[1], dtype=first.dtype, device=first.device)
    steps = zip(network.weights, multipliers, network.slopes, strict=False)
    for weight, multiplier, slopes in steps:
        following = _next(p, weight, multiplier, slopes, shrink=shrink)
        if following is None:
            return None
        following = (following + following.t()) / 2
        corner = -(slopes[0] + slopes[1]) / 2 * (multiplier[:, None] * weight)
        inner = _inner(p, weight, multiplier, slopes)
        upper = torch.cat([inner, corner.t()], dim=1)
        lower = torch.cat([corner, torch.diag(multiplier) - following], dim=1)
        sizes = torch.cat([_inner_size(p, weight, multiplier, slopes), multiplier])
        if not _is_definite(torch.cat([upper, lower]), sizes):
            return None
        p = following
    stretch = _stretch(network.weights[-1], p)
    if stretch is None:
        return None
    last = network.weights[-1]
    squared = float(stretch) * (1 + shrink)
    is_proof = _is_definite(squared * p - last.t() @ last, squared * p.diagonal())
    return math.sqrt(squared) if is_proof else None


def _inner_size(p: Tensor, weight: Tensor, multiplier: Tensor, slopes: Slopes) -> Tensor:
    """The diagonal of the terms of ``P + ab WᵀΛW`` without their signs."""
    return p.diagonal() + abs(slopes[0] * slopes[1]) * (multiplier[:, None] * weight**2).sum(dim=0)


def _is_definite(matrix: Tensor, sizes: Tensor) -> bool:
    """Whether the least eigenvalue is above what rounding can do.

    ``sizes`` bound the terms that were added up in each row's diagonal element. Scaled by them,
    each element of an n×n matrix is a sum of terms that is off by at most some n·2⁻⁵³.
    """
    if not bool((sizes > 0).all()):
        return False
    scale = sizes.rsqrt()
    least = torch.linalg.eigvalsh(scale[:, None] * (matrix + matrix.t()) / 2 * scale)[0]
    return float(least) > _EPSILON * len(matrix) ** 2
