"""Activations: the range of the derivative of each elementwise function.

The largest absolute value in this range is the Lipschitz constant. The derivative of GELU is
extremal at ±√2, where it is Φ(√2) + √2·φ(√2). The extrema for the tanh form of GELU, for SiLU and
for Mish lie at roots of the second derivative; they were computed with 40 digits and rounded
outwards. Softplus counts as the smooth function, without the switch to the identity above its
threshold.
"""

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from sngan.lipschitz.constants import LipschitzConstant, from_slopes, unbounded

_GELU = {
    "none": (-0.12890414518515479, 1.1289041451851548),
    "tanh": (-0.12899306865876718, 1.1289930686587718),
}
_SILU = (-0.09983932012886692, 1.099839320128867)
_MISH = (-0.11252612238946256, 1.0884981612517279)
_SELU = 1.7580993408473769  # scale · α, as in Klambauer et al. 2017, arXiv:1706.02515
_SIXTH = 0.16666667163372042  # torch computes with the float32 next to 1/6
_SMOOTH_THRESHOLD = 20.0
_NOT_FINITE = "its slope is not a finite number"


def leaky(slope: float) -> LipschitzConstant:
    """Return the constant of ``max(x, 0) + slope · min(x, 0)``."""
    if not math.isfinite(slope):
        return unbounded(_NOT_FINITE)
    return from_slopes(min(slope, 1.0), max(slope, 1.0))


def prelu(weight: Tensor) -> LipschitzConstant:
    """Return the constant of a leaky ReLU with a slope for each channel."""
    if not bool(weight.isfinite().all()):
        return unbounded(_NOT_FINITE)
    return from_slopes(min(1.0, weight.min().item()), max(1.0, weight.max().item()))


def elu(alpha: float) -> LipschitzConstant:
    """Return the constant of ``x`` for x > 0 and ``α(eˣ − 1)`` else: slopes 1 and ``α·(0, 1]``."""
    if not math.isfinite(alpha):
        return unbounded(_NOT_FINITE)
    return from_slopes(min(0.0, alpha), max(1.0, alpha))


def celu(alpha: float) -> LipschitzConstant:
    """Return the constant of ``x`` for x > 0 and ``α(e^(x/α) − 1)`` else, for α > 0."""
    if not 0.0 < alpha < math.inf:
        return unbounded(f"CELU with alpha={alpha} grows without limit")
    return from_slopes(0.0, 1.0)


def gelu(approximate: str) -> LipschitzConstant:
    """Return the constant of ``x·Φ(x)``, or of its approximation with tanh."""
    return from_slopes(*_GELU[approximate])


def softplus(threshold: float) -> LipschitzConstant:
    """Return the constant of ``log(1 + e^(βx))/β``, whose slope is a sigmoid."""
    if not threshold >= _SMOOTH_THRESHOLD:
        return unbounded(f"Softplus with threshold={threshold} jumps where it turns linear")
    return from_slopes(0.0, 1.0)


def softmax() -> LipschitzConstant:
    """Return 1/2: ``‖diag(p) − ppᵀ‖ ≤ max 2p(1 − p) ≤ 1/2`` by Gershgorin's theorem."""
    return LipschitzConstant(0.5, "closed_form")


def _fixed(low: float, high: float) -> Callable[[Any], LipschitzConstant]:
    return lambda _: from_slopes(low, high)


# returns an option of a call, given its place after the tensor, its name and its default
Option = Callable[[int, str, Any], Any]

# the names are the same for functions of torch, methods of tensors, and torch.nn.functional
FUNCTIONS: dict[str, Callable[[Option], LipschitzConstant]] = {
    "relu": _fixed(0.0, 1.0),
    "relu6": _fixed(0.0, 1.0),
    "hardtanh": _fixed(0.0, 1.0),
    "clamp": _fixed(0.0, 1.0),
    "clip": _fixed(0.0, 1.0),
    "tanh": _fixed(0.0, 1.0),
    "sigmoid": _fixed(0.0, 0.25),
    "logsigmoid": _fixed(0.0, 1.0),
    "hardsigmoid": _fixed(0.0, _SIXTH),
    "silu": _fixed(*_SILU),
    "mish": _fixed(*_MISH),
    "hardswish": _fixed(-0.5, 1.5),
    "selu": _fixed(0.0, _SELU),
    "softsign": _fixed(0.0, 1.0),
    "tanhshrink": _fixed(0.0, 1.0),
    "softshrink": _fixed(0.0, 1.0),
    "abs": _fixed(-1.0, 1.0),
    "sin": _fixed(-1.0, 1.0),
    "cos": _fixed(-1.0, 1.0),
    "atan": _fixed(0.0, 1.0),
    "arctan": _fixed(0.0, 1.0),
    "leaky_relu": lambda option: leaky(option(0, "negative_slope", 0.01)),
    "prelu": lambda option: prelu(option(0, "weight", None)),
    "elu": lambda option: elu(option(0, "alpha", 1.0)),
    "celu": lambda option: celu(option(0, "alpha", 1.0)),
    "gelu": lambda option: gelu(option(0, "approximate", "none")),
    "softplus": lambda option: softplus(option(1, "threshold", 20.0)),
    "softmax": lambda _: softmax(),
}

MODULES: dict[type[nn.Module], Callable[[Any], LipschitzConstant]] = {
    nn.ReLU: _fixed(0.0, 1.0),
    nn.ReLU6: _fixed(0.0, 1.0),
    nn.Hardtanh: _fixed(0.0, 1.0),
    nn.Tanh: _fixed(0.0, 1.0),
    nn.Sigmoid: _fixed(0.0, 0.25),
    nn.LogSigmoid: _fixed(0.0, 1.0),
    nn.Hardsigmoid: _fixed(0.0, _SIXTH),
    nn.SiLU: _fixed(*_SILU),
    nn.Mish: _fixed(*_MISH),
    nn.Hardswish: _fixed(-0.5, 1.5),
    nn.SELU: _fixed(0.0, _SELU),
    nn.Softsign: _fixed(0.0, 1.0),
    nn.Tanhshrink: _fixed(0.0, 1.0),
    nn.Softshrink: _fixed(0.0, 1.0),
    nn.LeakyReLU: lambda layer: leaky(layer.negative_slope),
    nn.RReLU: lambda layer: leaky((layer.lower + layer.upper) / 2),
    nn.PReLU: lambda layer: prelu(layer.weight),
    nn.ELU: lambda layer: elu(layer.alpha),
    nn.CELU: lambda layer: celu(layer.alpha),
    nn.GELU: lambda layer: gelu(layer.approximate),
    nn.Softplus: lambda layer: softplus(layer.threshold),
    nn.Softmax: lambda _layer: softmax(),
    nn.Softmax2d: lambda _layer: softmax(),
}
