"""Normalization layers: layer, group and instance norm, which are Lipschitz only because of eps."""

# torch has no public names for its families of layers
# pyright: reportPrivateUsage=false

import math

from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm

from sngan.lipschitz.constants import LipschitzConstant, unbounded
from sngan.utils.checks import require

Shape = tuple[int, ...]


def instance_norm(layer: _InstanceNorm, _shape: Shape) -> LipschitzConstant:
    """Return the constant of instance norm; with running statistics it scales each channel."""
    if layer.running_var is None:
        return not_lipschitz(layer.weight, layer.eps)
    scale = (layer.running_var + layer.eps).rsqrt()
    if layer.affine:
        scale = scale * layer.weight
    if not bool(scale.isfinite().all()):
        return unbounded("its running variance is negative, or its scale is not finite")
    sigma = scale.abs().max().item()
    # room for the rounding of an addition, a root and a product
    return LipschitzConstant(sigma * (1 + 1e-12), "exact", affine=True)


def not_lipschitz(weight: Tensor | None, eps: float) -> LipschitzConstant:
    """Return an infinite constant for layer, group or instance norm, with the reason.

    Without ε, the slope is unbounded where the variance vanishes. With ε, the constant is often
    in the hundreds; it depends on ε more than on the network. So the finite constant counts only if
    a user registers :func:`epsilon_constant`.
    """
    if eps <= 0.0:
        return unbounded("not Lipschitz: its slope is unbounded where the variance vanishes")
    return unbounded(
        "Lipschitz only because of its eps: its slope grows as the variance vanishes, up to "
        f"max|γ|/√eps = {_epsilon_bound(weight, eps):.4g}; to use that constant, call "
        "sngan.lipschitz.register(its class, sngan.lipschitz.epsilon_constant)"
    )


def epsilon_constant(layer: nn.Module, _input_shape: Shape) -> float:
    """Return ``max|γ|/√ε``, the Lipschitz constant of a LayerNorm, GroupNorm or InstanceNorm.

    This is a rule for :func:`register`. The layers center their input by a projection. From the
    centered u they compute ``γ·u/√(‖u‖²/n + ε)``. The Jacobian in u is ``(I − uuᵀ/(n s²))/s`` with
    ``s = √(‖u‖²/n + ε)``. Its eigenvalues are 1/s and ``ε/s³ ≤ 1/s``, so its norm is at most
    ``1/√ε``. Constant inputs attain this norm.

    Raises
    ------
    ValueError
        If the layer is of another class, or if its ε is 0.

    Examples
    --------
    >>> round(epsilon_constant(nn.LayerNorm(8, eps=0.01), (8,)), 9)
    10.0
    """
    if not isinstance(layer, nn.LayerNorm | nn.GroupNorm | _InstanceNorm):
        expected = "LayerNorm, GroupNorm or InstanceNorm"
        raise ValueError(f"layer: expected {expected}, got {type(layer).__name__}")
    require(layer.eps > 0.0, "layer", expected="a positive eps", got=layer.eps)
    return _epsilon_bound(layer.weight, layer.eps)


def _epsilon_bound(weight: Tensor | None, eps: float) -> float:
    scale = 1.0 if weight is None else weight.detach().abs().max().item()
    return scale / math.sqrt(eps) * (1 + 1e-12)
