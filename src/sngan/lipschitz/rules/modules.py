"""Modules: the Lipschitz constant of each layer of torch and of sngan."""

# torch has no public names for its families of layers, and none for a module's hooks
# pyright: reportPrivateUsage=false

import copy
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.utils import parametrize

from sngan.lipschitz import blocks
from sngan.lipschitz.constants import STRUCTURE, LipschitzConstant, unbounded
from sngan.lipschitz.registry import (
    HOW_TO_REGISTER,
    Shape,
    UserRule,
    registered_constant,
    registered_rule,
)
from sngan.lipschitz.rules import activations, pooling
from sngan.lipschitz.rules.linear import linear_constant, pooled_convolution, upsampled_convolution
from sngan.lipschitz.rules.normalization import instance_norm, not_lipschitz
from sngan.models.fused import PooledConv2d, UpsampledConv2d
from sngan.models.minibatch_std import MinibatchStd

ModuleRule = Callable[[Any, Shape], LipschitzConstant]

ATTENTION = (
    "dot-product attention is not Lipschitz on an unbounded domain "
    "(Kim, Papamakarios, Mnih 2021, arXiv:2006.04710)"
)
ATTENTION_LAYERS: tuple[type[nn.Module], ...] = (
    *(nn.MultiheadAttention, nn.Transformer, nn.TransformerEncoder, nn.TransformerEncoderLayer),
    *(nn.TransformerDecoder, nn.TransformerDecoderLayer),
)
_TRAIN_MODE: tuple[type[nn.Module], ...] = (
    *(_BatchNorm, _DropoutNd, nn.RReLU, blocks.BatchCentering),
)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
# containers only call their children, and the tracer records these calls
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.DataParallel)


def module_constant(
    layer: nn.Module,
    shape: Shape,
    *,
    in_train_mode: bool,
    batch_dims: int = 1,
    has_options: bool = False,
    result: Shape = (),
) -> LipschitzConstant:
    """Return the constant of a leaf module.

    Parameters
    ----------
    layer
        The module.
    shape
        The shape of its input, with batch dimensions.
    in_train_mode
        Whether the module was in train mode when the user gave it.
    batch_dims
        The number of batch dimensions, 0 or 1.
    has_options
        Whether the call has arguments beside the tensor.
    result
        The shape of its output.
    """
    if in_train_mode and isinstance(layer, _TRAIN_MODE) and getattr(layer, "p", 1.0) > 0:
        return unbounded("its map in train mode is random or mixes the batch: call .eval() first")
    rule = _rule_of(layer)
    if rule is None:
        return unbounded(f"no known constant; {HOW_TO_REGISTER}")
    if isinstance(rule, _UserRule):
        return registered_constant(layer, rule.rule, shape[batch_dims:])
    if has_options and isinstance(layer, _TRANSPOSED):
        layer = _with_output_size_of_call(layer, shape, result)
    elif has_options and not isinstance(layer, ATTENTION_LAYERS):
        return unbounded("no known constant with more arguments than the input")
    return rule(layer, unbatched_shape(layer, shape))


def unbatched_shape(layer: nn.Module, shape: Shape) -> Shape:
    """Return the shape of one sample; torch reads an input without a batch as one sample."""
    kinds = (kind.__name__ for kind in type(layer).__mro__ if kind in _RULES)
    found = re.search(r"(\d)d$", next(kinds, ""))
    is_batch = isinstance(layer, _BatchNorm)
    if found is not None and not is_batch and len(shape) == int(found[1]) + 1:
        return shape
    return shape[1:]


def _with_output_size_of_call(layer: Any, shape: Shape, result: Shape) -> Any:
    """Return a copy of a transposed convolution whose default output size is that of the call."""
    sizes = unbatched_shape(layer, shape)[1:]
    plain = [
        (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1
        for size, stride, padding, dilation, kernel in zip(
            sizes, layer.stride, layer.padding, layer.dilation, layer.kernel_size, strict=True
        )
    ]
    copied = copy.copy(layer)
    copied.output_padding = tuple(
        size - own for size, own in zip(result[-len(sizes) :], plain, strict=True)
    )
    return copied


def is_leaf(layer: nn.Module) -> bool:
    """Whether a module is one operation: it has a rule, or it is a layer of torch."""
    if unparametrized_class(layer) in _CONTAINERS or "forward" in vars(layer):
        return False
    return _rule_of(layer) is not None or unparametrized_class(layer).__module__.startswith(
        ("torch.nn", "torch.ao.nn")
    )


def has_plain_weights(layer: nn.Module) -> bool:
    """Whether a layer with the absolute values of its weights maps t ≥ 0 to ``|A|t``.

    It computes ``Ax + b``, and each element of A is a weight, or a sum of weights with factors ≥ 0.
    """
    is_cubic = getattr(layer, "mode", "") == "bicubic"
    return isinstance(layer, _PLAIN_WEIGHTS) and not is_cubic


def unparametrized_class(layer: nn.Module) -> type[nn.Module]:
    """Return the class that a module had before torch's parametrization made a subclass of it."""
    kind = type(layer)
    return kind.__mro__[1] if parametrize.is_parametrized(layer) else kind


@dataclass(frozen=True)
class _UserRule:
    """A registered rule, which gets the input's shape without the batch dimension."""

    rule: UserRule


def _rule_of(layer: nn.Module) -> ModuleRule | _UserRule | None:
    """Return the nearest base class's rule; None if the layer changes the forward of that class."""
    for kind in type(layer).__mro__:
        own = registered_rule(kind)
        if own is None and kind not in _RULES:
            continue
        if not _computes_as(layer, kind) or (own is None and _is_patched(kind)):
            return None
        return _RULES[kind] if own is None else _UserRule(own)
    return None


def _computes_as(layer: nn.Module, kind: type) -> bool:
    """Whether a layer has the same methods as its base class, so that its rule applies."""
    names = ("forward", "_conv_forward", "__call__", "_check_input_dim")
    return vars(layer).keys().isdisjoint(names) and all(
        inspect.getattr_static(type(layer), name, None) is inspect.getattr_static(kind, name, None)
        for name in names
    )


def _is_patched(kind: type) -> bool:
    """Whether the forward of a class with a built-in rule was replaced from outside."""
    home = inspect.getattr_static(kind, "forward").__module__ or ""
    return not home.startswith(("torch.", "sngan."))


def _batch_norm(layer: _BatchNorm, input_shape: Shape) -> LipschitzConstant:
    if layer.running_var is None:
        return unbounded("without running statistics it mixes the batch")
    if not bool((layer.running_var + layer.eps > 0).all()):
        return unbounded("its running variance is negative or not a number")
    return linear_constant(layer, input_shape)


def _embedding(_layer: nn.Module, _shape: Shape) -> LipschitzConstant:
    return unbounded("its input is an index")


def _attention(_layer: nn.Module, _shape: Shape) -> LipschitzConstant:
    return unbounded(ATTENTION)


def _minibatch_std(_layer: nn.Module, _shape: Shape) -> LipschitzConstant:
    return unbounded("it compares samples of a group, so a score belongs to no sample alone")


def _product_gate(_layer: nn.Module, _shape: Shape) -> LipschitzConstant:
    return unbounded("it multiplies two parts of its input")


def _activation(rule: Callable[[Any], LipschitzConstant]) -> ModuleRule:
    return lambda layer, _shape: rule(layer)


def _one_lipschitz(_layer: nn.Module, _shape: Shape) -> LipschitzConstant:
    return LipschitzConstant(1.0, "closed_form")


def _structural(_layer: nn.Module, _shape: Shape) -> LipschitzConstant:
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
    # in eval mode it adds a constant
    blocks.BatchCentering,
)
_PLAIN_WEIGHTS = (
    *(*_LINEAR, *_STRUCTURAL, PooledConv2d, UpsampledConv2d),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)
_RULES: dict[type, ModuleRule] = {
    **dict.fromkeys(_LINEAR, linear_constant),
    PooledConv2d: pooled_convolution,
    UpsampledConv2d: upsampled_convolution,
    **dict.fromkeys(_STRUCTURAL, _structural),
    **{kind: _activation(rule) for kind, rule in activations.MODULES.items()},
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _batch_norm),
    **dict.fromkeys((nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d), instance_norm),
    **dict.fromkeys((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d), pooling.max_pool),
    **dict.fromkeys(
        (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
        pooling.adaptive_max_pool,
    ),
    nn.LayerNorm: lambda layer, _shape: not_lipschitz(layer.weight, layer.eps),
    nn.GroupNorm: lambda layer, _shape: not_lipschitz(layer.weight, layer.eps),
    **dict.fromkeys(ATTENTION_LAYERS, _attention),
    **dict.fromkeys((nn.LPPool1d, nn.LPPool2d, nn.LPPool3d), pooling.power_pool),
    blocks.L2NormPool2d: pooling.norm_pool,
    blocks.GroupSort: lambda layer, _shape: LipschitzConstant(
        1.0, "closed_form", sorts=layer.group_size
    ),
    blocks.CayleyConv2d: lambda _layer, _shape: LipschitzConstant(1.0, "closed_form", affine=True),
    **dict.fromkeys(
        (blocks.HouseholderActivation, blocks.SLLLinear, blocks.SLLConv2d), _one_lipschitz
    ),
    MinibatchStd: _minibatch_std,
    nn.Embedding: _embedding,
    nn.GLU: _product_gate,
}
