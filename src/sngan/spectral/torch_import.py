"""PyTorch's own spectral normalization: read its vectors and norms, and remove it."""

# torch has no public names for a module's hooks
# pyright: reportPrivateUsage=false

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm as _torch_parametrization
from torch.nn.utils.spectral_norm import SpectralNorm as _TorchHook

from sngan.distributed import dtensor
from sngan.utils.checks import require
from sngan.utils.kernels import Kernel, require_float

# torch keeps the class private; its type is reached through an instance. The instance draws its
# weights, and an import must not move the random numbers of a person's program.
with torch.random.fork_rng(devices=[]):
    _example: Any = _torch_parametrization(nn.Linear(1, 1))
_TorchParametrization: type[nn.Module] = type(_example.parametrizations["weight"][0])


@dataclass(frozen=True)
class TorchNorm:
    """A raw weight as torch reads it, its left singular vector, and the σ that torch divides by."""

    kernel: Kernel
    u: Tensor
    sigma: Tensor


@torch.no_grad()
def find_torch_norms(module: nn.Module) -> list[TorchNorm]:
    """The weights that torch normalizes, by hooks or parametrizations. The network stays as it is.

    Raises
    ------
    ValueError
        If no layer carries torch's spectral normalization, a weight has other parametrizations too,
        two layers normalize one weight, or the module is sharded.
    """
    require(
        not any(map(dtensor.is_sharded, module.parameters())),
        "module",
        expected="unsharded weights (call fully_shard afterwards)",
        got="sharded ones",
    )
    norms: dict[int, TorchNorm] = {}
    for name, layer in module.named_modules():
        for norm in (*_parametrized_norms(name, layer), *_hooked_norms(name, layer)):
            twin = norms.setdefault(id(norm.kernel.weight), norm)
            both = f"{twin.kernel.parameters[0]!r} and {norm.kernel.parameters[0]!r}, which are one"
            require(twin is norm, "module", expected="one norm for each weight", got=both)
    require(
        bool(norms),
        "module",
        expected="layers with torch's spectral normalization",
        got="none",
    )
    return list(norms.values())


def strip_torch_norms(module: nn.Module, norms: Iterable[TorchNorm]) -> None:
    """Make the layers plain ones, whose weights are the raw ``Parameter`` objects.

    The optimizer therefore keeps their state. Copies of the network, which share torch's generated
    classes with it, do not change.
    """
    for norm in norms:
        (path,) = norm.kernel.parameters
        name, _, weight = path.rpartition(".")
        layer = module.get_submodule(name)
        if parametrize.is_parametrized(layer, weight):
            _strip_parametrization(layer, weight)
        else:
            _strip_hook(layer, weight)
        # setattr, because recurrent layers then update their list of weights
        setattr(layer, weight, norm.kernel.weight)


def _parametrized_norms(name: str, layer: nn.Module) -> Iterator[TorchNorm]:
    if not parametrize.is_parametrized(layer):
        return
    chains: Any = layer.parametrizations
    for weight, chain in chains.items():
        if _TorchParametrization not in map(type, chain):
            continue
        links = [type(link).__name__ for link in chain]
        require(
            len(chain) == 1 and isinstance(chain.original, nn.Parameter),
            "module",
            expected="spectral_norm as the only parametrization of a weight",
            got=f"{links} on {weight!r} of {name!r}",
        )
        raw, norm = chain.original, chain[0]
        if raw.dim() == 1:
            sigma = torch.linalg.vector_norm(raw)
            yield TorchNorm(_kernel(name, weight, raw, dim=0), raw.new_ones(1), sigma)
        else:
            sigma = norm._u.dot(norm._reshape_weight_to_matrix(raw).mv(norm._v))
            yield TorchNorm(_kernel(name, weight, raw, dim=norm.dim), norm._u, sigma)


def _hooked_norms(name: str, layer: nn.Module) -> Iterator[TorchNorm]:
    for hook in layer._forward_pre_hooks.values():
        if isinstance(hook, _TorchHook):
            raw, u, v = (getattr(layer, f"{hook.name}_{part}") for part in ("orig", "u", "v"))
            sigma = u.dot(hook.reshape_weight_to_matrix(raw).mv(v))
            own = raw.new_ones(1) if raw.dim() == 1 else u
            yield TorchNorm(_kernel(name, hook.name, raw, dim=hook.dim), own, sigma)


def _kernel(name: str, weight: str, raw: Tensor, *, dim: int) -> Kernel:
    path = f"{name}.{weight}".lstrip(".")
    require_float(path, raw)
    return Kernel((name if weight == "weight" else path,), (path,), raw, dim % raw.dim())


def _strip_parametrization(layer: nn.Module, weight: str) -> None:
    """Undo torch's registration, without a change of the class that copies of the layer share."""
    kind, plain = type(layer), type(layer).__bases__[0]
    chains: Any = layer.parametrizations
    kept = {name: chain for name, chain in chains.items() if name != weight}
    if kept:
        layer.parametrizations = nn.ModuleDict(kept)
        names = {"__dict__", "__weakref__", weight}
        own = {name: value for name, value in vars(kind).items() if name not in names}
        layer.__class__ = type(  # pyright: ignore[reportAttributeAccessIssue]
            kind.__name__, (plain,), own
        )
    else:
        del layer.parametrizations
        layer.__class__ = plain


def _strip_hook(layer: nn.Module, weight: str) -> None:
    for hooks in (
        layer._forward_pre_hooks,
        layer._state_dict_hooks,
        layer._load_state_dict_pre_hooks,
    ):
        for key, hook in list(hooks.items()):
            if _weight_of_hook(hook) == weight:
                del hooks[key]
    for leftover in ("", "_orig", "_u", "_v"):
        delattr(layer, weight + leftover)


def _weight_of_hook(hook: Any) -> str | None:
    """The name of the weight that a hook of torch's spectral norm computes; None for others."""
    # torch wraps its hook in another object, for load_state_dict and for state dicts
    inner = getattr(hook, "hook", hook)
    inner = getattr(inner, "fn", inner)
    return inner.name if isinstance(inner, _TorchHook) else None
