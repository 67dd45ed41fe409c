"""FSDP2: networks whose weights, gradients and optimizer states are sharded over the ranks.

Zhao et al. 2023, arXiv:2304.11277; ``torch.distributed.fsdp.fully_shard``.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sngan.distributed import collectives, dtensor

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

# for each sharded network, a copy of its structure without weights
_plain: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()


def shard(network: nn.Module, mesh: "DeviceMesh") -> None:
    """Shard a network in place: each of its stages separately, then the remaining weights.

    The weights of a stage are gathered only during its forward and its backward pass.
    """
    from torch.distributed.fsdp import fully_shard

    plain = copy.deepcopy(network)
    for module in plain.modules():
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(parameter.to("meta")))
    for parameter in network.parameters():
        # fully_shard refuses other memory formats
        parameter.data = parameter.data.contiguous()
    for stage in _stages(network):
        fully_shard(stage, mesh=mesh)
    fully_shard(network, mesh=mesh)
    _plain[network] = plain


def is_sharded(network: nn.Module) -> bool:
    """Whether :func:`shard` has sharded a network."""
    return network in _plain


def mesh_of(network: nn.Module) -> "DeviceMesh":
    """Return the mesh of ranks over which a network is sharded."""
    weight = next(network.parameters())
    assert dtensor.is_sharded(weight)
    return weight.device_mesh


def keep_gathered(network: nn.Module) -> None:
    """Keep the weights gathered after a forward pass until ``dtensor.reshard`` is called.

    Losses that read weights, and gradient penalties, need this: a second backward pass goes through
    the weights, which FSDP2 would free after the first one.
    """
    for method in ("set_reshard_after_forward", "set_reshard_after_backward"):
        getattr(network, method)(False)


@torch.no_grad()
def unsharded(network: nn.Module) -> nn.Module:
    """Return a plain network, or a plain copy of a sharded one. All ranks call this."""
    if not is_sharded(network):
        return network
    gathered = {name: dtensor.full_tensor(value) for name, value in network.state_dict().items()}
    device = next(network.parameters()).device
    # gathered tensors are contiguous; load_state_dict copies them into the network's memory format
    plain = copy.deepcopy(_plain[network]).to_empty(device=device)
    plain.load_state_dict(gathered)
    return plain.train(network.training)


def gradient_norm(network: nn.Module) -> Tensor:
    """Return the norm of all gradients as one vector, the same on all ranks."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    norm = torch.nn.utils.get_total_norm([dtensor.local_tensor(gradient) for gradient in gradients])
    if not any(map(dtensor.is_sharded, gradients)):
        return norm
    return (collectives.all_reduce_mean(norm.square()) * collectives.world_size()).sqrt()


def load_state(owner: Any, saved: dict[str, Any]) -> None:
    """Call ``owner.load_state_dict(saved)``; whole tensors are sharded like the owner's.

    The owner is a module, an optimizer, or another object that has no sharded tensors.
    """
    if isinstance(owner, nn.Module):
        saved = _split_like(saved, owner.state_dict())
    elif isinstance(owner, Optimizer):
        parameters = [p for group in owner.param_groups for p in group["params"]]
        _require_moments(saved["state"], parameters)
        states = {
            index: {key: _like(parameters[index], value) for key, value in state.items()}
            for index, state in saved["state"].items()
        }
        saved = {**saved, "state": states}
    owner.load_state_dict(saved)


def _require_moments(states: Mapping[int, Mapping[str, Any]], parameters: list[Tensor]) -> None:
    """Raise unless each state belongs to a parameter and holds numbers or moments of its shape."""
    for index, state in states.items():
        shapes = ((), tuple(parameters[index].shape))
        for key, value in state.items():
            is_moment = isinstance(value, Tensor) and tuple(value.shape) in shapes
            if not is_moment and not isinstance(value, int | float | None):
                raise ValueError(f"optimizer: expected a moment of shape {shapes[1]}, got {key}")


def _split_like(saved: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: dtensor.distribute_like(value, own[key])
        if key in own and dtensor.is_sharded(own[key])
        else value
        for key, value in saved.items()
    }


def _like(parameter: Tensor, value: Any) -> Any:
    """Return a moment sharded and laid out in memory like its parameter; other values as given."""
    if not isinstance(value, Tensor) or value.shape != parameter.shape:
        return value
    if dtensor.is_sharded(parameter):
        return dtensor.distribute_like(value, parameter)
    # torch's fused optimizers read parameter and moment in memory order, so both must agree
    return torch.empty_like(parameter, dtype=value.dtype, device=value.device).copy_(value)


def _stages(network: nn.Module) -> Iterator[nn.Module]:
    for container in network.children():
        if isinstance(container, nn.ModuleList | nn.Sequential):
            for stage in container.children():
                if any(True for _ in stage.parameters()):
                    yield stage
