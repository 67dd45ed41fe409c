"""The constants of modules, and how to add one."""

# torch has no public names for its families of layers, and none for a module's hooks
# pyright: reportPrivateUsage=false

import copy
import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, TypeVar, overload

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils import parametrize

from sngan._checks import require
from sngan.lipschitz import activations, pooling
from sngan.lipschitz.blocks import GroupSort
from sngan.lipschitz.factor import STRUCTURE, Factor, unbounded
from sngan.spectral import certified_norm

Shape = tuple[int, ...]
ModuleRule = Callable[[Any, Shape], Factor]
UserRule = Callable[[Any, Shape], float]
_Rule = TypeVar("_Rule", bound=UserRule)

ATTENTION = (
    "dot-product attention is not Lipschitz on an unbounded domain "
    "(Kim, Papamakarios, Mnih 2021, arXiv:2006.04710)"
)
HOW_TO_REGISTER = "sngan.lipschitz.register(it, rule) gives it a constant"
ATTENTION_LAYERS: tuple[type[nn.Module], ...] = (
    *(nn.MultiheadAttention, nn.Transformer, nn.TransformerEncoder, nn.TransformerEncoderLayer),
    *(nn.TransformerDecoder, nn.TransformerDecoderLayer),
)
_TRAIN_MODE: tuple[type[nn.Module], ...] = (_BatchNorm, _DropoutNd, nn.RReLU)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
# they only pass on what they hold, whose calls are recorded
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.DataParallel)
_registered: dict[Any, UserRule] = {}


@overload
def register(target: Any) -> Callable[[_Rule], _Rule]: ...
@overload
def register(target: Any, rule: _Rule) -> _Rule: ...
def register(target: Any, rule: UserRule | None = None) -> Any:
    """Give a module type or a function a Lipschitz constant: ``rule(layer, input_shape) -> float``.

    The rule's result is believed: it must bound ``‖f(x) − f(y)‖/‖x − y‖`` for every x and y, of
    the map in eval mode. ``input_shape`` comes without the batch dimension. A rule for a function
    gets the function in place of the layer, and applies to calls whose first argument is the only
    one that depends on the network's input. The latest rule of a target counts, also over the
    built-in one. With one argument it is a decorator.

    Raises
    ------
    ValueError
        The target is neither a module type nor a function, or the rule cannot be called.

    Examples
    --------
    >>> @register(MyLayer)
    ... def my_layer(layer, input_shape):
    ...     return abs(layer.scale)
    """
    if rule is None:

        def decorate(decorated: UserRule) -> UserRule:
            return register(target, decorated)

        return decorate
    is_module_type = isinstance(target, type) and issubclass(target, nn.Module)
    require(
        is_module_type or (callable(target) and not isinstance(target, type | nn.Module)),
        "target",
        expected="a module type or a function",
        got=repr(target),
    )
    require(callable(rule), "rule", expected="a function (layer, shape) -> float", got=repr(rule))
    _registered[target] = rule
    return rule


def registered_factor(target: Any, rule: UserRule, input_shape: Shape) -> Factor:
    """What a user's rule says, checked to be a number that can be a constant."""
    value = rule(target, input_shape)
    require(
        isinstance(value, int | float) and value >= 0.0,
        "rule",
        expected=f"a number of at least 0 for {target!r}",
        got=repr(value),
    )
    if math.isinf(value):
        return unbounded("its registered rule says so")
    return Factor(float(value), "registered")


def registered_function(function: Any) -> UserRule | None:
    """The rule that a user gave a function."""
    return _registered.get(function) if callable(function) else None


def registered_functions() -> list[FunctionType]:
    """The functions of a user's own Python code that have a rule."""
    own = [target for target in _registered if isinstance(target, FunctionType)]
    return [function for function in own if not (function.__module__ or "").startswith("torch.")]


def module_factor(
    layer: nn.Module,
    shape: Shape,
    *,
    in_train_mode: bool,
    batch_dims: int = 1,
    has_options: bool = False,
    result: Shape = (),
) -> Factor:
    """The factor of a leaf module for an input of ``shape``, with its batch dimensions.

    ``result`` is the shape of the output, ``has_options`` whether the call has more arguments.
    """
    if in_train_mode and isinstance(layer, _TRAIN_MODE) and getattr(layer, "p", 1.0) > 0:
        return unbounded("its map in train mode is random or mixes the batch: call .eval() first")
    rule = _rule_of(layer)
    if rule is None:
        return unbounded(f"no known constant; {HOW_TO_REGISTER}")
    if isinstance(rule, _UserRule):
        return registered_factor(layer, rule.rule, shape[batch_dims:])
    if has_options and isinstance(layer, _TRANSPOSED):
        layer = _of_output(layer, shape, result)
    elif has_options and not isinstance(layer, ATTENTION_LAYERS):
        return unbounded("no known constant with further arguments")
    return rule(layer, sample_shape(layer, shape))


def sample_shape(layer: nn.Module, shape: Shape) -> Shape:
    """The shape of one sample as torch reads it: with one dimension less it is all of the input."""
    found = re.search(r"(\d)d$", class_of(layer).__name__)
    is_batch = isinstance(layer, _BatchNorm)
    if found is not None and not is_batch and len(shape) == int(found[1]) + 1:
        return shape
    return shape[1:]


def _of_output(layer: Any, shape: Shape, result: Shape) -> Any:
    """The transposed convolution whose own output size is the one that a call asked for."""
    sizes = sample_shape(layer, shape)[1:]
    plain = [
        (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1
        for size, stride, padding, dilation, kernel in zip(
            sizes, layer.stride, layer.padding, layer.dilation, layer.kernel_size, strict=True
        )
    ]
    asked = copy.copy(layer)
    asked.output_padding = tuple(
        size - own for size, own in zip(result[-len(sizes) :], plain, strict=True)
    )
    return asked


def is_leaf(layer: nn.Module) -> bool:
    """Whether a module is taken as a whole: if it has a rule or is a layer of torch's own."""
    if class_of(layer) in _CONTAINERS:
        return False
    return _rule_of(layer) is not None or class_of(layer).__module__.startswith(
        ("torch.nn", "torch.ao.nn")
    )


def class_of(layer: nn.Module) -> type[nn.Module]:
    """The class before torch's parametrization made a subclass of it."""
    kind = type(layer)
    return kind.__mro__[1] if parametrize.is_parametrized(layer) else kind


@dataclass(frozen=True)
class _UserRule:
    """A rule that counts for every input, with a shape that has no batch dimension."""

    rule: UserRule


def _rule_of(layer: nn.Module) -> ModuleRule | _UserRule | None:
    """The rule of the nearest base class whose forward the layer has not replaced."""
    for kind in type(layer).__mro__:
        if kind not in _registered and kind not in _RULES:
            continue
        if not _computes_as(layer, kind):
            return None
        if kind in _registered:
            return _UserRule(_registered[kind])
        return _RULES[kind]
    return None


def _computes_as(layer: nn.Module, kind: type) -> bool:
    if "forward" in vars(layer):
        return False
    names = ("forward", "_conv_forward", "__call__", "_check_input_dim")
    return all(
        inspect.getattr_static(type(layer), name, None) is inspect.getattr_static(kind, name, None)
        for name in names
    )


def linear_factor(layer: nn.Module, input_shape: Shape) -> Factor:
    """A linear layer, by its certified operator norm."""
    weight = getattr(layer, "weight", None)
    if isinstance(weight, Tensor) and weight.numel() == 0:
        return Factor(0.0, "closed_form", affine=True)
    if isinstance(layer, nn.Linear):
        # it acts on the last dimension: the norm of a block diagonal of copies is that of one
        input_shape = (layer.in_features,)
    try:
        norm, method = certified_norm(layer, input_shape)[:2]
    except ValueError as error:
        return unbounded(str(error))
    return Factor(norm, method, affine=True)


def _batch_norm(layer: _BatchNorm, input_shape: Shape) -> Factor:
    if layer.running_var is None:
        return unbounded("without running statistics it mixes the batch")
    if not bool((layer.running_var + layer.eps > 0).all()):
        return unbounded("its running variance is negative or not a number")
    return linear_factor(layer, input_shape)


def _instance_norm(layer: _InstanceNorm, _shape: Shape) -> Factor:
    if layer.running_var is None:
        return normalized(layer.weight, layer.eps)
    scale = (layer.running_var + layer.eps).rsqrt()
    if layer.affine:
        scale = scale * layer.weight
    if not bool(scale.isfinite().all()):
        return unbounded("its running variance is negative, or its scale is not finite")
    sigma = scale.abs().max().item()
    # one addition, one root, one product: each rounded once
    return Factor(sigma * (1 + 1e-12), "exact", affine=True)


def normalized(weight: Tensor | None, eps: float) -> Factor:
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


def _embedding(_layer: nn.Module, _shape: Shape) -> Factor:
    return unbounded("its input is an index")


def _attention(_layer: nn.Module, _shape: Shape) -> Factor:
    return unbounded(ATTENTION)


def _product_gate(_layer: nn.Module, _shape: Shape) -> Factor:
    return unbounded("it multiplies two parts of its input")


def _activation(rule: Callable[[Any], Factor]) -> ModuleRule:
    return lambda layer, _shape: rule(layer)


def _structure(_layer: nn.Module, _shape: Shape) -> Factor:
    return STRUCTURE


_LINEAR: tuple[type[nn.Module], ...] = (
    nn.Linear,
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d),
    *(nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d),
    *(nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d),
    *(nn.CircularPad1d, nn.CircularPad2d, nn.CircularPad3d),
)
_STRUCTURAL: tuple[type[nn.Module], ...] = (
    *(nn.Identity, nn.Flatten, nn.Unflatten, nn.PixelShuffle, nn.PixelUnshuffle),
    *(nn.ChannelShuffle, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    *(nn.AlphaDropout, nn.FeatureAlphaDropout),
    *(nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d),
    *(nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d),
)
_RULES: dict[type, ModuleRule] = {
    **dict.fromkeys(_LINEAR, linear_factor),
    **dict.fromkeys(_STRUCTURAL, _structure),
    **{kind: _activation(rule) for kind, rule in activations.MODULES.items()},
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _batch_norm),
    **dict.fromkeys((nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d), _instance_norm),
    **dict.fromkeys((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d), pooling.max_pool),
    **dict.fromkeys(
        (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
        pooling.adaptive_max_pool,
    ),
    nn.LayerNorm: lambda layer, _shape: normalized(layer.weight, layer.eps),
    nn.GroupNorm: lambda layer, _shape: normalized(layer.weight, layer.eps),
    **dict.fromkeys(ATTENTION_LAYERS, _attention),
    GroupSort: lambda layer, _shape: Factor(1.0, "closed_form", sorts=layer.group_size),
    nn.Embedding: _embedding,
    nn.GLU: _product_gate,
}
