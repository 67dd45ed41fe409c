"""Layer, group and instance norm: Lipschitz only by their eps, or by their running statistics."""

# torch has no public names for its families of layers
# pyright: reportPrivateUsage=false

import math

from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm

from sngan.lipschitz.constants import LipschitzConstant, unbounded
from sngan.utils.checks import require

Shape = tuple[int, ...]


def instance_norm(layer: _InstanceNorm, _shape: Shape) -> LipschitzConstant:
    """Instance norm, which with running statistics is a scaling of each channel."""
    if layer.running_var is None:
        return not_lipschitz(layer.weight, layer.eps)
    scale = (layer.running_var + layer.eps).rsqrt()
    if layer.affine:
        scale = scale * layer.weight
    if not bool(scale.isfinite().all()):
        return unbounded("its running variance is negative, or its scale is not finite")
    sigma = scale.abs().max().item()
    # one addition, one root, one product: each rounded once
    return LipschitzConstant(sigma * (1 + 1e-12), "exact", affine=True)


def not_lipschitz(weight: Tensor | None, eps: float) -> LipschitzConstant:
    """Layer, group and instance norm: infinite, and how large what ε leaves of it would be.

    Without ε the slope is unbounded where the variance vanishes; with it a constant of hundreds
    is a fact about ε and not about the network, so it counts only where a user asks for it.
    """
    if eps <= 0.0:
        return unbounded("not Lipschitz: its slope is unbounded where the variance vanishes")
    return unbounded(
        "only locally Lipschitz but for its eps: its slope grows without bound as the variance "
        f"vanishes, up to max|γ|/√eps = {_epsilon_bound(weight, eps):.4g}; to count that, "
        "sngan.lipschitz.register(its class, sngan.lipschitz.epsilon_constant)"
    )


def epsilon_constant(layer: nn.Module, _input_shape: Shape) -> float:
    """Return ``max|γ|/√ε``, the Lipschitz constant of a LayerNorm, GroupNorm or InstanceNorm.

    A rule for :func:`register`. The layers compute ``γ·u/√(‖u‖²/n + ε)`` of the centered ``u``.
    The Jacobian in u is ``(I − uuᵀ/(n s²))/s`` with ``s = √(‖u‖²/n + ε)``; its eigenvalues are 1/s
    and ``ε/s³ ≤ 1/s``, so it is at most ``1/√ε``, at constant inputs; centering is a projection.

    Raises
    ------
    ValueError
        Another layer, or one without ε.
    """
    known = isinstance(layer, nn.LayerNorm | nn.GroupNorm | _InstanceNorm)
    name = type(layer).__name__
    require(known, "layer", expected="LayerNorm, GroupNorm or InstanceNorm", got=name)
    assert isinstance(layer, nn.LayerNorm | nn.GroupNorm | _InstanceNorm)
    require(layer.eps > 0.0, "layer", expected="a positive eps", got=layer.eps)
    return _epsilon_bound(layer.weight, layer.eps)


def _epsilon_bound(weight: Tensor | None, eps: float) -> float:
    scale = 1.0 if weight is None else weight.detach().abs().max().item()
    return scale / math.sqrt(eps) * (1 + 1e-12)
