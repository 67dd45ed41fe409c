"""Takes PyTorch's own spectral normalization off a network, keeping its raw weights and vectors."""

# torch has no public way to a module's hooks
# pyright: reportPrivateUsage=false

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm as _torch_parametrization
from torch.nn.utils.spectral_norm import SpectralNorm as _TorchHook

from sngan import _shards as shards
from sngan._checks import require

# torch keeps the class private; an instance of it is the public way to its type
_TorchParametrization = type(
    _torch_parametrization(nn.Linear(1, 1)).parametrizations["weight"][0]  # pyright: ignore
)


class TorchNorm(NamedTuple):
    """What torch knew of a weight: its left singular vector and the σ that it divided by."""

    u: Tensor
    sigma: Tensor


@torch.no_grad()
def strip_torch_spectral_norm(module: nn.Module) -> dict[str, TorchNorm]:
    """Restore raw weights in place and return ``{layer name: u and σ}``.

    The raw weights stay the same ``Parameter`` objects, so an optimizer keeps its state.

    Raises
    ------
    ValueError
        No layer carries torch's spectral normalization, one carries other parametrizations too, or
        the module is sharded.
    """
    require(
        not any(map(shards.is_sharded, module.parameters())),
        "module",
        expected="whole weights (call fully_shard afterwards)",
        got="sharded ones",
    )
    norms: dict[str, TorchNorm] = {}
    for name, layer in list(module.named_modules()):
        if parametrize.is_parametrized(layer, "weight"):
            norms[name] = _strip_parametrization(name, layer)
        elif any(isinstance(hook, _TorchHook) for hook in layer._forward_pre_hooks.values()):
            norms[name] = _strip_hook(layer)
    require(
        bool(norms),
        "module",
        expected="layers with torch's spectral normalization",
        got="none",
    )
    return norms


def _strip_parametrization(name: str, layer: nn.Module) -> TorchNorm:
    chain = list(layer.parametrizations["weight"])  # pyright: ignore
    require(
        len(chain) == 1 and isinstance(chain[0], _TorchParametrization),
        "module",
        expected="spectral_norm as the only parametrization of a weight",
        got=f"{[type(link).__name__ for link in chain]} on {name!r}",
    )
    normalized = chain[0].eval()(layer.parametrizations["weight"].original)  # pyright: ignore
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    u: Tensor = chain[0].get_buffer("_u")  # pyright: ignore
    return TorchNorm(u, _ratio(layer.get_parameter("weight"), normalized))


def _strip_hook(layer: nn.Module) -> TorchNorm:
    found = {k: h for k, h in layer._forward_pre_hooks.items() if isinstance(h, _TorchHook)}
    ((norm_key, norm),) = found.items()
    normalized = norm.compute_weight(layer, do_power_iteration=False)
    del layer._forward_pre_hooks[norm_key]
    for hooks in (layer._state_dict_hooks, layer._load_state_dict_pre_hooks):
        for key, hook in list(hooks.items()):
            if "spectral_norm" in type(getattr(hook, "hook", hook)).__module__:
                del hooks[key]
    u, raw = layer.get_buffer("weight_u"), layer.get_parameter("weight_orig")
    for leftover in ("weight", "weight_orig", "weight_u", "weight_v"):
        delattr(layer, leftover)
    layer.register_parameter("weight", raw)
    return TorchNorm(u, _ratio(raw, normalized))


def _ratio(raw: Tensor, normalized: Tensor) -> Tensor:
    """``σ`` of ``normalized = raw/σ``; 1 for a zero weight."""
    sigma = torch.linalg.vector_norm(raw) / torch.linalg.vector_norm(normalized)
    return torch.where(sigma.isfinite(), sigma, 1.0)
