"""Secant of a certificate: the slope of a network between two points."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sngan.lipschitz.local.domain import Domain
from sngan.lipschitz.tracing.prepare import PreparedModule

# rounding of the ends, relative to the size of the domain
_ROUNDING = 1e-9


@torch.no_grad()
def secant_of(
    module: PreparedModule, witness: Mapping[str, Any], *, norm: str, domain: Domain | None
) -> float:
    """Return ``‖f(x + hv) − f(x − hv)‖/‖2hv‖``, or 0 if the points are not in the domain.

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
    example, half = module.example, witness["half"]
    if not len(witness["point"]) == len(witness["direction"]) == example.numel() or half <= 0.0:
        return 0.0
    point, direction = (_tensor(witness[key], example) for key in ("point", "direction"))
    ends = point + half * direction, point - half * direction
    if domain is not None:
        room = domain.room(torch.stack([end.cpu().flatten() for end in ends]))
        if float(room.min()) < -_ROUNDING * float(domain.half.max()):
            return 0.0
    change = (module(ends[0].clone()) - module(ends[1].clone())).flatten()
    length = torch.linalg.vector_norm((ends[0] - ends[1]).flatten(), float(norm))
    slope = torch.linalg.vector_norm(change, float(norm)) / length
    return float(slope) if float(length) else 0.0


def _tensor(values: list[float], example: Tensor) -> Tensor:
    tensor = torch.tensor(values, dtype=torch.float64, device=example.device)
    return tensor.reshape(example.shape)
