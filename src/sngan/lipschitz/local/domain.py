"""Domains of local bounds: balls and boxes around a centre."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from sngan.utils.checks import require, require_number, require_one_of

Norm = Literal["2", "1", "inf"]
NORMS: tuple[str, ...] = get_args(Norm)
_TINY = 1e-300
Box = tuple[float | Tensor, float | Tensor]


@dataclass(frozen=True)
class Domain:
    """The points ``centre + d`` with ``‖d / half‖ ≤ 1`` in one norm, all float64 and flat.

    A box has the norm ``inf``. A ball has equal numbers in ``half``.
    """

    centre: Tensor
    half: Tensor
    norm: Norm

    def reach(self, rows: Tensor) -> Tensor:
        """Return ``max |⟨row, d⟩|`` over the domain for each row of non-negative numbers."""
        scaled = rows * self.half
        if self.norm == "inf":
            return scaled.sum(dim=1)
        largest = scaled.amax(dim=1)
        if self.norm == "1":
            return largest
        # no square underflows
        return largest * (scaled / largest.clamp_min(_TINY)[:, None]).norm(dim=1)

    @property
    def euclidean_radius(self) -> float:
        """The largest Euclidean norm of d."""
        if self.norm == "inf":
            return float(self.half.norm())
        return float(self.half.max())

    def project(self, points: Tensor) -> Tensor:
        """Move flat points ``(N, inputs)`` into the domain, along the line to the centre."""
        offset = points - self.centre
        if self.norm == "inf":
            return self.centre + torch.maximum(torch.minimum(offset, self.half), -self.half)
        size = torch.linalg.vector_norm(offset, float(self.norm), dim=1, keepdim=True)
        scale = (self.half.max() / size.clamp_min(1e-300)).clamp_max(1.0)
        return self.centre + scale * offset

    def room(self, points: Tensor) -> Tensor:
        """Return for each point a step that stays in the domain in every direction of norm 1."""
        offset = (points - self.centre).abs()
        if self.norm == "inf":
            return (self.half - offset).amin(dim=1)
        return self.half.max() - torch.linalg.vector_norm(offset, float(self.norm), dim=1)


def domain_of(
    shape: tuple[int, ...],
    *,
    center: Tensor | None,
    radius: float | None,
    box: Box | None,
    norm: str,
) -> Domain | None:
    """Return the domain that the arguments of ``lipschitz_bounds`` describe; None for all inputs.

    Raises
    ------
    ValueError
        If a ball and a box are given, or half of a ball, or numbers that are not finite.
    """
    require_one_of(norm, "norm", choices=NORMS)
    if box is not None:
        got = "both"
        require(center is None and radius is None, "box", expected="a box or a ball", got=got)
        return domain_of_box(box, shape, name="box")
    if center is None and radius is None:
        return None
    got = "center alone" if radius is None else "radius alone"
    require(
        center is not None and radius is not None,
        "center" if center is None else "radius",
        expected="a center and a radius",
        got=got,
    )
    assert center is not None
    assert radius is not None
    require_number(radius, "radius", above=0.0)
    flat = _tensor(center, "center", shape)
    half = torch.full_like(flat, radius)
    kind: Norm = "inf" if norm == "inf" else "1" if norm == "1" else "2"
    return Domain(flat, half, kind)


def domain_of_box(box: Box, shape: tuple[int, ...], *, name: str) -> Domain:
    """Return the domain of a box that the argument ``name`` gives.

    Raises
    ------
    ValueError
        If it is no pair of finite numbers or tensors of this shape, the lower one first.
    """
    is_pair = isinstance(box, tuple | list) and len(box) == 2
    require(is_pair, name, expected="a pair (low, high)", got=repr(box))
    low, high = (_tensor(end, name, shape) for end in box)
    require(bool((low < high).all()), name, expected="low below high", got="another order")
    # rounding of the centre must not shrink the box
    centre = low / 2 + high / 2
    half = torch.maximum(high - centre, centre - low)
    half = half * (1 + 1e-15) + 1e-15 * centre.abs()
    return Domain(centre, half, "inf")


def _tensor(value: float | Tensor, name: str, shape: tuple[int, ...]) -> Tensor:
    if isinstance(value, Tensor):
        fits = tuple(value.shape) == shape and not value.is_complex()
        got = f"{value.dtype} {tuple(value.shape)}"
        require(fits, name, expected=f"a number or a real tensor of shape {shape}", got=got)
    else:
        require_number(value, name)
    # a number as float32 may lie inside the box
    flat = torch.as_tensor(value, dtype=torch.float64).detach().cpu().expand(shape)
    flat = flat.reshape(-1).clone()
    require(bool(flat.isfinite().all()), name, expected="finite numbers", got="nan or inf")
    assert math.prod(shape) == len(flat)
    return flat
