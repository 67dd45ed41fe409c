"""Layers as functions: the constants of convolutions, pools and norms in torch.nn.functional."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from sngan.lipschitz.constants import STRUCTURE, LipschitzConstant, unbounded
from sngan.lipschitz.rules import pooling
from sngan.lipschitz.rules.calls import CallRule, FunctionCall
from sngan.lipschitz.rules.linear import linear_constant
from sngan.lipschitz.rules.modules import unbatched_shape
from sngan.lipschitz.rules.normalization import not_lipschitz


def _options(call: FunctionCall, first: int, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments by their names, from the place ``first`` after the tensor."""
    return {
        name: call.option(place, name, default)
        for place, (name, default) in enumerate(defaults.items(), start=first)
    }


def _convolution(kind: type[nn.Module]) -> CallRule:
    def rule(call: FunctionCall) -> LipschitzConstant:
        weight: Tensor = call.option(0, "weight", None)
        options = _options(call, 2, {"stride": 1, "padding": 0, "dilation": 1, "groups": 1})
        channels = (weight.shape[1] * options["groups"], weight.shape[0])
        return _constant_of_kernel(kind, weight, channels, options, call)

    return rule


def _transposed_convolution(kind: type[nn.Module]) -> CallRule:
    def rule(call: FunctionCall) -> LipschitzConstant:
        weight: Tensor = call.option(0, "weight", None)
        defaults = {"stride": 1, "padding": 0, "output_padding": 0, "groups": 1, "dilation": 1}
        options = _options(call, 2, defaults)
        channels = (weight.shape[0], weight.shape[1] * options["groups"])
        return _constant_of_kernel(kind, weight, channels, options, call)

    return rule


def _constant_of_kernel(
    kind: type[nn.Module],
    weight: Tensor,
    channels: tuple[int, int],
    options: dict[str, Any],
    call: FunctionCall,
) -> LipschitzConstant:
    size = tuple(weight.shape[2:])
    layer: Any = nn.utils.skip_init(kind, *channels, size, bias=False, **options)
    layer.weight = nn.Parameter(weight.detach())
    return linear_constant(layer, unbatched_shape(layer, call.shape))


def _average_pool(kind: Callable[..., nn.Module]) -> CallRule:
    def rule(call: FunctionCall) -> LipschitzConstant:
        layer = kind(*call.options, **call.kwargs)
        return linear_constant(layer, unbatched_shape(layer, call.shape))

    return rule


def _max_pool(kind: Callable[..., nn.Module]) -> CallRule:
    def rule(call: FunctionCall) -> LipschitzConstant:
        defaults = {"kernel_size": None, "stride": None, "padding": 0, "dilation": 1}
        options = _options(call, 0, {**defaults, "ceil_mode": False, "return_indices": False})
        # torch's own callers of this function pass an empty list for "no stride"
        options["stride"] = options["stride"] or None
        layer = kind(**options)
        return pooling.max_pool(layer, unbatched_shape(layer, call.shape))

    return rule


def _adaptive_max_pool(kind: Callable[..., nn.Module]) -> CallRule:
    def rule(call: FunctionCall) -> LipschitzConstant:
        layer = kind(*call.options, **call.kwargs)
        return pooling.adaptive_max_pool(layer, unbatched_shape(layer, call.shape))

    return rule


def _interpolate(call: FunctionCall) -> LipschitzConstant:
    options = inspect.signature(F.interpolate).bind(*call.args, **call.kwargs).arguments
    options.pop("input")
    if options.pop("antialias", False) or options.pop("recompute_scale_factor", None):
        return unbounded("interpolation with these options has no known constant")
    return linear_constant(nn.Upsample(**options), call.shape[1:])


_PADS: dict[str, tuple[Callable[..., nn.Module], ...]] = {
    "reflect": (nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d),
    "replicate": (nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d),
    "circular": (nn.CircularPad1d, nn.CircularPad2d, nn.CircularPad3d),
}


def _pad(call: FunctionCall) -> LipschitzConstant:
    widths, mode = call.option(0, "pad", ()), call.option(1, "mode", "constant")
    if mode == "constant":
        return STRUCTURE
    layer = _PADS[mode][len(widths) // 2 - 1](tuple(widths))
    return linear_constant(layer, unbatched_shape(layer, call.shape))


def _dropout(call: FunctionCall) -> LipschitzConstant:
    if call.option(1, "training", True) and call.option(0, "p", 0.5) > 0:
        return unbounded("it drops elements at random in train mode")
    return STRUCTURE


def _batch_norm(call: FunctionCall) -> LipschitzConstant:
    """Return the largest ``γ/√(variance + ε)`` over the channels, with running statistics."""
    options = _options(call, 0, {"running_mean": None, "running_var": None, "weight": None})
    rest = _options(call, 3, {"bias": None, "training": False, "momentum": 0.1, "eps": 1e-5})
    if rest["training"] or options["running_var"] is None:
        return unbounded("without running statistics it mixes the batch")
    scale = (options["running_var"].double() + rest["eps"]).rsqrt()
    scale = scale if options["weight"] is None else scale * options["weight"]
    if not bool(scale.isfinite().all()):
        return unbounded("its running variance is negative, or its scale is not finite")
    return LipschitzConstant(scale.abs().max().item() * (1 + 1e-12), "closed_form", affine=True)


def _layer_norm(call: FunctionCall) -> LipschitzConstant:
    return not_lipschitz(call.option(1, "weight", None), call.option(3, "eps", 1e-5))


_DIMS = (1, 2, 3)


def _of_dims(
    name: str, rule: Callable[[type[nn.Module]], CallRule], kind: str
) -> dict[str, CallRule]:
    """Return the rules for one, two and three dimensions."""
    return {f"{name}{d}d": rule(getattr(nn, f"{kind}{d}d")) for d in _DIMS}


RULES: dict[str, CallRule] = {
    **_of_dims("conv", _convolution, "Conv"),
    **_of_dims("conv_transpose", _transposed_convolution, "ConvTranspose"),
    **_of_dims("avg_pool", _average_pool, "AvgPool"),
    **_of_dims("adaptive_avg_pool", _average_pool, "AdaptiveAvgPool"),
    **_of_dims("max_pool", _max_pool, "MaxPool"),
    **_of_dims("adaptive_max_pool", _adaptive_max_pool, "AdaptiveMaxPool"),
    **dict.fromkeys(("dropout", "dropout1d", "dropout2d", "dropout3d"), _dropout),
    **dict.fromkeys(("layer_norm", "group_norm"), _layer_norm),
    "batch_norm": _batch_norm,
    "interpolate": _interpolate,
    "pad": _pad,
}
