"""Secant of a certificate: the slope of a network between two points."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sngan.lipschitz.local.domain import Domain
from sngan.lipschitz.search.derivatives import DUAL, aligned_vectors, norm_of_samples, vjp
from sngan.lipschitz.tracing.prepare import PreparedModule

# rounding of the ends, relative to the size of the domain
_ROUNDING = 1e-9
# the search takes only secants that agree with the derivative to 1e-7
_AGREEMENT = 1e-6


def secant_of(
    module: PreparedModule, witness: Mapping[str, Any], *, norm: str, domain: Domain | None
) -> float:
    """Return ``‖f(x + hv) − f(x − hv)‖/‖2hv‖``, or 0 if the points are not in the domain.

    The slope between points that are too close consists of rounding errors. So it counts only up to
    the derivative at x along v.

    Parameters
    ----------
    module
        The network f.
    witness
        The point x, the direction v and the number h as ``half``.
    norm
        The norm of inputs and outputs.
    domain
        The domain; None for all inputs.
    """
    example, half = module.example, float(witness["half"])
    if not len(witness["point"]) == len(witness["direction"]) == example.numel() or half <= 0.0:
        return 0.0
    point, direction = (_tensor(witness[key], example) for key in ("point", "direction"))
    ends = point + half * direction, point - half * direction
    if domain is not None:
        room = domain.room(torch.stack([end.cpu().flatten() for end in ends]))
        if float(room.min()) < -_ROUNDING * float(domain.half.max()):
            return 0.0
    move = ends[0] - ends[1]
    length = float(norm_of_samples(move, norm))
    if not length:
        return 0.0
    with torch.no_grad():
        change = (module(ends[0].clone()) - module(ends[1].clone())).reshape(1, -1)
    slope = float(norm_of_samples(change, norm)) / length
    along = aligned_vectors(change, DUAL[norm])
    with torch.enable_grad():
        x = point.requires_grad_()
        # autograd allows no operation in place on a leaf, so the module gets a clone
        derivative = float((vjp(module(x.clone()).reshape(1, -1), x, along) * move).sum()) / length
    return min(slope, derivative * (1 + _AGREEMENT))


def _tensor(values: list[float], example: Tensor) -> Tensor:
    tensor = torch.tensor(values, dtype=torch.float64, device=example.device)
    return tensor.reshape(example.shape)
