"""The constants of tensor functions and methods of which one argument depends on the input."""

import inspect
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sngan.lipschitz import activations, pooling
from sngan.lipschitz.factor import STRUCTURE, Factor, root, times, unbounded
from sngan.lipschitz.modules import HOW_TO_REGISTER, linear_factor, normalized

_IN_PLACE = {operator.iadd: "add", operator.isub: "sub", operator.imul: "mul"}
_ALIASES = {
    **dict.fromkeys(("divide", "true_divide", "truediv", "itruediv"), "div"),
    **dict.fromkeys(("concat", "concatenate"), "cat"),
    "subtract": "sub",
    "multiply": "mul",
}
_PLAIN_INDEX = (int, slice, type(None), type(Ellipsis))


@dataclass(frozen=True)
class Call:
    """A call in the traced graph with the values it had; ``args[0]`` depends on the input."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any

    @property
    def options(self) -> tuple[Any, ...]:
        """The arguments after the tensor."""
        return self.args[1:]

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape without the batch dimension."""
        return tuple(self.args[0].shape[1:])

    def option(self, place: int, name: str, default: Any) -> Any:
        """The argument at ``place`` after the tensor, or of this name."""
        return self.options[place] if place < len(self.options) else self.kwargs.get(name, default)


CallRule = Callable[[Call], Factor]


def name_of(target: Any) -> str:
    """The common name of a method, a function of torch or an operator; empty for others."""
    if isinstance(target, str):
        name = target.removesuffix("_") if not target.endswith("__") else ""
        return _ALIASES.get(name, name)
    return _NAMES.get(target, "")


def call_factor(call: Call) -> Factor:
    """The factor of a call of which only ``args[0]`` depends on the network's input."""
    if not _is_real(call.result):
        return unbounded(f"{call.name or 'it'} gives values that are not real numbers")
    if call.name in activations.FUNCTIONS:
        factor = activations.FUNCTIONS[call.name](call.option)
        # constant arguments may broadcast the tensor
        return scaled(factor, spread(call.args[0], call.result))
    if call.name in _RULES:
        return _RULES[call.name](call)
    return unbounded(f"no known constant; {HOW_TO_REGISTER}")


def scaled(factor: Factor, size: float) -> Factor:
    """The factor of an operation followed by one of norm ``size``."""
    if size == 1.0:
        return factor
    return Factor(times(factor.sigma, size), factor.method, factor.affine, reason=factor.reason)


def spread(tensor: Any, result: Tensor) -> float:
    """What broadcasting contributes: the root of how often each element is repeated."""
    if not isinstance(tensor, Tensor) or result.numel() <= tensor.numel():
        return 1.0
    return root(result.numel() / tensor.numel())


def _is_real(result: Any) -> bool:
    parts = result if isinstance(result, tuple | list) else [result]
    return all(isinstance(part, Tensor) and part.is_floating_point() for part in parts)


def _affine(sigma: float) -> Factor:
    return Factor(sigma, "closed_form", affine=True)


def _structure(call: Call) -> Factor:
    options = [*call.options, *call.kwargs.values()]
    if call.name == "view" and any(isinstance(option, torch.dtype) for option in options):
        return unbounded("it reads the bits of its input as other numbers")
    kinds = {part.dtype for part in (call.args[0], call.result) if isinstance(part, Tensor)}
    # a cast is no change here, but it rounds what it is merged with
    return STRUCTURE if len(kinds) == 1 else Factor(1.0, "structure")


def _item(call: Call) -> Factor:
    index = call.args[1]
    if not isinstance(call.args[0], Tensor):
        return STRUCTURE
    parts = index if isinstance(index, tuple) else (index,)
    if all(isinstance(part, _PLAIN_INDEX) and not isinstance(part, bool) for part in parts):
        return STRUCTURE
    return unbounded("an index that is a tensor or a list may repeat elements")


def _attribute(call: Call) -> Factor:
    if call.args[1] in ("T", "mT", "data"):
        return STRUCTURE
    return unbounded(f"no known constant of the attribute {call.args[1]}")


def _sum(call: Call) -> Factor:
    return _affine(root(call.args[0].numel() / max(call.result.numel(), 1)))


def _mean(call: Call) -> Factor:
    count = call.args[0].numel() / max(call.result.numel(), 1)
    return _affine(1.0 if count == 1 else (1 + 1e-15) / math.sqrt(count))


def _repeat(call: Call) -> Factor:
    return _affine(spread(call.args[0], call.result))


def _largest(_call: Call) -> Factor:
    # |max a − max b| ≤ max |a − b| ≤ ‖a − b‖
    return Factor(1.0, "closed_form")


def _scaling(call: Call) -> Factor:
    if len(call.args) != 2 or call.kwargs or not isinstance(call.args[1], Tensor | int | float):
        return unbounded(f"{call.name} with options has no known constant")
    other = torch.as_tensor(call.args[1], dtype=torch.float64).abs()
    if call.name == "div":
        # one rounded division, and the rounding of a float32 option is none: it is read exactly
        sigma = math.inf if other.min() == 0 else (1 + 1e-15) / other.min().item()
    else:
        sigma = other.max().item()
    if not math.isfinite(sigma):
        return unbounded("it divides by zero or scales by a number that is not finite")
    return _affine(times(sigma, spread(call.args[0], call.result)))


def _linear(call: Call) -> Factor:
    return _by_matrix(call.option(0, "weight", None))


def _matmul(call: Call) -> Factor:
    other = call.options[0]
    if other.dim() != 2 or call.args[0].dim() < 2:
        return unbounded("a product with a stack of matrices has no known constant")
    return _by_matrix(other.t())


def _by_matrix(weight: Tensor) -> Factor:
    layer = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], bias=False)
    layer.weight = nn.Parameter(weight.detach())
    return linear_factor(layer, (weight.shape[1],))


def _convolution(kind: type[nn.Module]) -> CallRule:
    def rule(call: Call) -> Factor:
        weight: Tensor = call.option(0, "weight", None)
        names = ("stride", "padding", "dilation", "groups")
        defaults = (1, 0, 1, 1)
        options = {
            name: call.option(place, name, default)
            for place, (name, default) in enumerate(zip(names, defaults, strict=True), start=2)
        }
        inputs, size = weight.shape[1] * options["groups"], tuple(weight.shape[2:])
        layer: Any = nn.utils.skip_init(
            kind, inputs, weight.shape[0], size, bias=False, **options
        )  # fmt: skip
        layer.weight = nn.Parameter(weight.detach())
        return linear_factor(layer, call.shape)

    return rule


def _average_pool(kind: Callable[..., nn.Module]) -> CallRule:
    return lambda call: linear_factor(kind(*call.options, **call.kwargs), call.shape)


def _max_pool(kind: Callable[..., nn.Module]) -> CallRule:
    def rule(call: Call) -> Factor:
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
        defaults = (None, None, 0, 1, False, False)
        options = {
            name: call.option(place, name, default)
            for place, (name, default) in enumerate(zip(names, defaults, strict=True))
        }
        # the functions that call this one say "no stride" by an empty list
        options["stride"] = options["stride"] or None
        return pooling.max_pool(kind(**options), call.shape)

    return rule


def _adaptive_max_pool(kind: Callable[..., nn.Module]) -> CallRule:
    return lambda call: pooling.adaptive_max_pool(kind(*call.options, **call.kwargs), call.shape)


def _interpolate(call: Call) -> Factor:
    options = inspect.signature(F.interpolate).bind(*call.args, **call.kwargs).arguments
    options.pop("input")
    if options.pop("antialias", False) or options.pop("recompute_scale_factor", None):
        return unbounded("interpolation with these options has no known constant")
    return linear_factor(nn.Upsample(**options), call.shape)


_PADS: dict[str, tuple[Callable[..., nn.Module], ...]] = {
    "reflect": (nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d),
    "replicate": (nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d),
    "circular": (nn.CircularPad1d, nn.CircularPad2d, nn.CircularPad3d),
}


def _pad(call: Call) -> Factor:
    widths, mode = call.option(0, "pad", ()), call.option(1, "mode", "constant")
    if mode == "constant":
        return STRUCTURE
    return linear_factor(_PADS[mode][len(widths) // 2 - 1](tuple(widths)), call.shape)


def _dropout(call: Call) -> Factor:
    if call.option(1, "training", True) and call.option(0, "p", 0.5) > 0:
        return unbounded("it drops at random, in train mode")
    return STRUCTURE


def _layer_norm(call: Call) -> Factor:
    return normalized(call.option(1, "weight", None), call.option(3, "eps", 1e-5))


_STRUCTURAL = (
    *("flatten", "reshape", "view", "unflatten", "squeeze", "unsqueeze"),
    *("permute", "transpose", "t", "movedim", "moveaxis", "swapaxes", "swapdims"),
    *("contiguous", "clone", "detach", "double", "float", "to", "type_as"),
    *("flip", "fliplr", "flipud", "roll", "rot90"),
    *("chunk", "split", "tensor_split", "unbind", "narrow", "select"),
    *("pixel_shuffle", "pixel_unshuffle", "channel_shuffle"),
    *("view_as", "reshape_as", "ravel", "neg", "negative", "positive"),
)
_DIMS = (1, 2, 3)
_RULES: dict[str, CallRule] = {
    **dict.fromkeys(_STRUCTURAL, _structure),
    **dict.fromkeys(("expand", "expand_as", "repeat", "tile", "broadcast_to"), _repeat),
    **dict.fromkeys(("amax", "amin", "max", "min"), _largest),
    **dict.fromkeys(("mul", "div"), _scaling),
    **{f"avg_pool{d}d": _average_pool(getattr(nn, f"AvgPool{d}d")) for d in _DIMS},
    **{f"adaptive_avg_pool{d}d": _average_pool(getattr(nn, f"AdaptiveAvgPool{d}d")) for d in _DIMS},
    **{f"max_pool{d}d": _max_pool(getattr(nn, f"MaxPool{d}d")) for d in _DIMS},
    **{
        f"adaptive_max_pool{d}d": _adaptive_max_pool(getattr(nn, f"AdaptiveMaxPool{d}d"))
        for d in _DIMS
    },
    **{f"conv{d}d": _convolution(getattr(nn, f"Conv{d}d")) for d in _DIMS},
    **dict.fromkeys(("dropout", "dropout1d", "dropout2d", "dropout3d"), _dropout),
    "getitem": _item,
    "getattr": _attribute,
    "sum": _sum,
    "mean": _mean,
    "linear": _linear,
    "matmul": _matmul,
    "interpolate": _interpolate,
    "pad": _pad,
    "layer_norm": _layer_norm,
    "group_norm": _layer_norm,
}
STACKING = ("cat", "stack", "hstack", "vstack")
COMBINING = ("add", "sub", *STACKING, "maximum", "minimum", "max", "min")
PRODUCTS = ("mul", "div", "matmul", "bmm", "einsum", "scaled_dot_product_attention")


def _names() -> dict[Any, str]:
    known = [*activations.FUNCTIONS, *_RULES, *COMBINING, *PRODUCTS, *_ALIASES]
    names: dict[Any, str] = {getattr: "getattr", **_IN_PLACE}
    for name in known:
        for spelled in (name, f"{name}_"):
            for namespace in (torch, F, operator):
                function = getattr(namespace, spelled, None)
                if function is not None:
                    names[function] = _ALIASES.get(name, name)
    return names


_NAMES = _names()
