"""Symbol of a convolution, ``K(θ) = Σ_p W_p e^{−ip·θ}``, and the supremum of its norm."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from sngan.spectral.operator.geometry import Geometry, Sizes, Torus

# eigenvalues in float64 have relative errors of about 1e-12; a proof adds 1,000 times that
ROUNDING = 1 + 1e-9
# the eigenvalues of at most this many bytes of matrices are computed in one call
_BLOCK_BYTES = 2**28
# up to this many taps, a polynomial gives the Gram matrices faster than products of matrices
_FEW_TAPS = 50
# a search evaluates at most this many 64×64 matrices; the number falls with the cube of the side
_CELLS = 2**14


class Supremum(NamedTuple):
    """``lower ≤ sup_θ ‖K(θ)‖ ≤ upper``; ``lower`` is attained at a frequency."""

    lower: float
    upper: float


@dataclass(frozen=True)
class Symbol:
    """Taps ``(T, groups, rows, columns)`` in float64 at integer offsets ``(T, dim)``.

    With a stride s it is the symbol of the polyphase kernel ``P[o, (i, r), q] = W[o, i, s·q + r]``:
    a convolution of stride 1 whose input channels are the s interleaved subsequences of the input.
    """

    taps: Tensor
    offsets: Tensor

    @classmethod
    def of(cls, weight: Tensor, *, stride: Sizes, dilation: Sizes) -> "Symbol":
        """The symbol of a grouped weight ``(groups, outputs, inputs, *kernel)``."""
        dim = len(stride)
        steps: list[Tensor] = []
        quotients: list[Tensor] = []
        remainders: list[Tensor] = []
        phases: list[int] = []
        for axis, (k, s, d) in enumerate(zip(weight.shape[3:], stride, dilation, strict=True)):
            places = torch.arange(k, device="cpu") * d
            along_axis = [-1 if other == axis else 1 for other in range(dim)]
            step, quotient = torch.unique(places // s, return_inverse=True)
            used, remainder = torch.unique(places % s, return_inverse=True)
            steps.append(step)
            phases.append(len(used))
            quotients.append(quotient.view(along_axis))
            remainders.append(remainder.view(along_axis))
        kernel = weight.new_zeros(*map(len, steps), *phases, *weight.shape[:3])
        kernel[(*quotients, *remainders)] = weight.movedim(
            tuple(range(3, 3 + dim)), tuple(range(dim))
        )
        # (*steps, *phases, groups, rows, inputs) → (T, groups, rows, phases·inputs)
        taps = kernel.flatten(dim, 2 * dim - 1).flatten(0, dim - 1).movedim(1, 3).flatten(3)
        return cls(taps, torch.cartesian_prod(*steps).view(-1, dim))

    @property
    def degrees(self) -> Tensor:
        """Half the extent of the offsets in each dimension: the degree of the centred symbol."""
        extent = self.offsets.amax(0) - self.offsets.amin(0)
        return extent.double() / 2

    def without_common_step(self) -> "Symbol":
        """Divide the offsets by their common step; the supremum over all θ stays the same."""
        offsets = self.offsets - self.offsets.amin(0)
        steps = [max(1, math.gcd(*column)) for column in offsets.t().tolist()]
        return Symbol(self.taps, offsets // torch.tensor(steps, device="cpu"))

    def matrices(self, frequencies: Tensor) -> Tensor:
        """``K(θ)`` at frequencies ``(F, dim)``: complex ``(F, groups, rows, columns)``."""
        phases = torch.exp(-1j * (frequencies @ self.offsets.to(frequencies).t()))
        phases = phases.to(self.taps.device)
        return torch.einsum("ft,tgrc->fgrc", phases, self.taps.to(phases.dtype))

    @torch.no_grad()
    def norms(self, frequencies: Tensor) -> Tensor:
        """``max over groups of ‖K(θ)‖₂`` at frequencies ``(F, dim)``, on the CPU."""
        block = max(1, _BLOCK_BYTES // (16 * self.taps[0].numel()))
        grams = (
            self._grams_by_polynomial if len(self.taps) <= _FEW_TAPS else self._grams_by_products
        )
        norms = [
            torch.linalg.eigvalsh(grams(some))[..., -1].clamp_min(0.0).sqrt().amax(1)
            for some in frequencies.split(block)
        ]
        return torch.cat(norms).cpu()

    def _grams_by_products(self, frequencies: Tensor) -> Tensor:
        matrices = self.matrices(frequencies)
        return matrices @ matrices.mH if self._is_wide else matrices.mH @ matrices

    def _grams_by_polynomial(self, frequencies: Tensor) -> Tensor:
        taps, offsets = self._gram_polynomial
        angles = (frequencies @ offsets.to(frequencies).t()).to(taps.device)
        flat = taps.flatten(1)
        half = torch.complex(angles.cos() @ flat, -angles.sin() @ flat)
        half = half.view(len(frequencies), *taps.shape[1:])
        return half + half.mH

    @property
    def _is_wide(self) -> bool:
        return self.taps.shape[2] <= self.taps.shape[3]

    @cached_property
    def _gram_polynomial(self) -> tuple[Tensor, Tensor]:
        """The taps and offsets of ``K K*`` (or ``K* K``), which is a trigonometric polynomial too.

        It has one of each pair of opposite offsets, and half of the tap at 0, because the sum with
        the conjugate transpose adds the rest.
        """
        taps = self.taps if self._is_wide else self.taps.mT
        sign = 1 if self._is_wide else -1
        pairs: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        offsets = [tuple(row) for row in self.offsets.tolist()]
        for (p, at_p), (q, at_q) in itertools.product(enumerate(offsets), repeat=2):
            step = tuple(sign * (a - b) for a, b in zip(at_p, at_q, strict=True))
            if step >= (0,) * len(step):
                pairs.setdefault(step, []).append((p, q))
        summed: list[Tensor] = []
        for step, places in pairs.items():
            left, right = zip(*places, strict=True)
            tap = torch.einsum("tgrc,tgsc->grs", taps[list(left)], taps[list(right)])
            summed.append(tap if any(step) else tap / 2)
        return torch.stack(summed), torch.tensor(list(pairs), device="cpu")

    def affordable_cells(self) -> int:
        """The number of matrices that a search may evaluate."""
        groups, side = self.taps.shape[1], min(self.taps.shape[2:])
        return max(64, int(_CELLS / groups * min(8.0, (64 / side) ** 3)))


def torus_symbol(weight: Tensor, geometry: Geometry, torus: Torus) -> Symbol:
    """The symbol of a convolution's weight at the stride and dilation of a torus."""
    return Symbol.of(geometry.grouped(weight), stride=torus.stride, dilation=torus.dilation)


def grid(sides: Sizes) -> Tensor:
    """The frequencies ``2πj/N`` of a torus, ``(F, dim)``, with only one of each pair θ, −θ.

    One is enough, because the kernel is real, so ``K(−θ)`` is the conjugate of ``K(θ)``.
    """
    places = torch.cartesian_prod(*(torch.arange(n, device="cpu") for n in sides)).view(
        -1, len(sides)
    )
    mirrored = (-places).remainder(torch.tensor(sides, device="cpu"))
    weights = torch.tensor(
        [math.prod(sides[axis + 1 :]) for axis in range(len(sides))], device="cpu"
    )
    first = (places * weights).sum(1) <= (mirrored * weights).sum(1)
    return 2 * torch.pi * places[first].double() / torch.tensor(sides, device="cpu")


def grid_slack(degrees: Tensor, sides: Sizes) -> float:
    """``Π_j 1/cos(π d_j/N_j)``: the supremum is at most this number times the maximum on the grid.

    This follows from the inequality of ``Geometry.small_torus``, applied to one dimension after the
    other. It is infinite if the grid is too coarse (``N ≤ 2d``).
    """
    angles = [math.pi * d / n for d, n in zip(degrees.tolist(), sides, strict=True)]
    if max(angles) >= math.pi / 2:
        return math.inf
    return 1 / math.prod(math.cos(angle) for angle in angles)


def supremum(symbol: Symbol, *, tolerance: float = 1e-4) -> Supremum:
    """Bracket ``sup_θ ‖K(θ)‖₂`` by branch and bound, until ``upper/lower − 1 ≤ tolerance``.

    Let M be the supremum, attained at θ*. Along a straight line from θ* the bilinear form that
    attains M has degree at most ``Σ_j d_j |δ_j|``. So the norm at the centre of the cell that holds
    θ*, with half-widths h, is at least ``M cos(Σ_j d_j h_j)``. Cells below
    ``lower · cos(Σ d_j h_j)`` are dropped, the others are halved. The cosine of the sum makes it
    safe to drop a cell; the product of the cosines does not.
    """
    symbol = symbol.without_common_step()
    degrees = symbol.degrees
    sides = tuple(max(1, round(8 * d)) for d in degrees.tolist())
    centres, half = grid(sides), torch.pi / torch.tensor(sides, dtype=torch.float64, device="cpu")
    half = torch.where(degrees > 0, half, 0.0)
    norms = symbol.norms(centres)
    lower = float(norms.max())
    upper = lower * grid_slack(degrees, sides)
    left = symbol.affordable_cells() - len(centres)
    for _ in range(64):
        cosine = math.cos(min(float(degrees @ half), math.pi / 2))
        if cosine > 0:
            upper = min(upper, float(norms.max()) / cosine)
        kept = norms >= lower * cosine
        children = _children(centres[kept], half)
        left -= len(children)
        if upper <= lower * (1 + tolerance) or left < 0:
            break
        centres, half = children, half / 2
        norms = symbol.norms(centres)
        lower = max(lower, float(norms.max()))
    return Supremum(lower, max(lower, upper))


def _children(centres: Tensor, half: Tensor) -> Tensor:
    signs = list(_signs(half))
    return torch.cat(
        [centres + torch.tensor(sign, device="cpu").double() * half / 2 for sign in signs]
    )


def _signs(half: Tensor) -> Iterator[tuple[int, ...]]:
    return itertools.product(*((-1, 1) if width > 0 else (0,) for width in half.tolist()))
