"""Normalizations that Miyato et al. compare with spectral normalization: batch, layer, weight."""

from collections.abc import Callable

from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from sngan.models.fused import PooledConv2d

_CRITIC_LAYERS = (nn.Conv2d, nn.Linear)


def add_norm(critic: nn.Module, kind: str) -> None:
    """Add a normalization of this kind to a critic, in place.

    ``batch`` is batch norm (Ioffe, Szegedy 2015, arXiv:1502.03167). ``layer`` is layer norm (Ba et
    al. 2016, arXiv:1607.06450) over channels and space, with a scale and a shift for each channel.
    Both follow every hidden linear layer except the first one, as in Radford et al. 2015,
    arXiv:1511.06434; the 1×1 convolutions of skips and of attention stay as they are. ``weight`` is
    weight norm (Salimans, Kingma 2016, arXiv:1602.07868): every weight is ``g·v/‖v‖``, with a
    length g for each output channel. ``none`` changes nothing.
    """
    if kind == "weight":
        for layer in _linear_layers(critic).values():
            _add_weight_norm(layer)
    elif kind != "none":
        for name, layer in _hidden_layers(critic).items():
            norm = _NORM_LAYERS[kind](_output_channels(layer), layer)
            # the norm comes before the pooling of a fused layer
            conv, *pooling = layer.unfused() if isinstance(layer, PooledConv2d) else (layer,)
            critic.set_submodule(name, nn.Sequential(conv, norm, *pooling))


CRITIC_NORMS = ("none", "batch", "layer", "weight")
"""The normalizations that a critic can have: none, batch norm, layer norm or weight norm.

They are those that Miyato et al. 2018, arXiv:1802.05957, compare with spectral normalization.

Examples
--------
>>> from sngan.models import CRITIC_NORMS, build
>>> "layer" in CRITIC_NORMS
True
>>> _, critic = build("cnn", (1, 8, 8), width=0.1, critic_norm="layer")
>>> any(isinstance(part, nn.GroupNorm) for part in critic.modules())
True
"""
_NORM_LAYERS: dict[str, Callable[[int, nn.Module], nn.Module]] = {
    "batch": lambda channels, layer: (
        nn.BatchNorm2d(channels) if isinstance(layer, nn.Conv2d) else nn.BatchNorm1d(channels)
    ),
    # group norm with a single group is layer norm, for vectors and for maps of any size
    "layer": lambda channels, _: nn.GroupNorm(1, channels),
}


def _add_weight_norm(layer: nn.Conv2d | nn.Linear) -> None:
    """Add weight norm. A layer that starts at 0 gets a random direction v, and lengths g of 0."""
    is_zero = not layer.weight.is_meta and not bool(layer.weight.any())
    if is_zero:
        nn.init.kaiming_normal_(layer.weight)
    weight_norm(layer)
    if is_zero:
        nn.init.zeros_(layer.get_parameter("parametrizations.weight.original0"))


def _linear_layers(critic: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    return {n: layer for n, layer in critic.named_modules() if isinstance(layer, _CRITIC_LAYERS)}


def _hidden_layers(critic: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    layers = _linear_layers(critic)
    wide = {n: layer for n, layer in layers.items() if getattr(layer, "kernel_size", 0) != (1, 1)}
    return {name: wide[name] for name in list(wide)[1:-1]}


def _output_channels(layer: nn.Conv2d | nn.Linear) -> int:
    return layer.out_channels if isinstance(layer, nn.Conv2d) else layer.out_features
