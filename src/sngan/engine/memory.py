"""Memory of a training: a lower bound of its need, compared with the memory of the machine."""

import math
from typing import Any

import torch
from torch import nn

from sngan import models
from sngan.config import Config
from sngan.data import memory
from sngan.models.packing import packed_shape
from sngan.runs.networks import OwnNetworks, networks_on_meta
from sngan.utils.checks import require, require_given

_GIBIBYTE = 2**30
# weights, gradients and one moment take four bytes each; the generator also has an average
_BYTES_OF_WEIGHTS = {"generator": 16, "critic": 12}
# bfloat16 has two bytes, and every other precision has more
_BYTES_OF_OUTPUT = 2


def require_memory(
    config: Config, device: torch.device | None = None, own: OwnNetworks | None = None
) -> None:
    """Raise unless the networks and a batch of resolved settings can fit into memory.

    The lower bound counts weights, gradients and one moment of each optimizer, and the noise and
    the outputs of layers with weights in the forward pass of one critic step.

    Parameters
    ----------
    config
        The resolved settings.
    device
        The device of the training; left out: a CPU.
    own
        Networks given as objects.

    Raises
    ------
    ValueError
        If they do not fit, or no such networks can be built.
    """
    networks = dict(zip(("generator", "critic"), networks_on_meta(config, own), strict=True))
    parts = config.performance.processes if config.performance.is_sharded else 1
    weights = sum(
        _BYTES_OF_WEIGHTS[name] * sum(p.numel() for p in network.parameters())
        for name, network in networks.items()
    )
    available = _available(device)
    model = config.model
    require(
        weights // parts <= available,
        "model",
        expected=f"networks that fit into {_size(available)} of memory",
        got=f"{_size(weights)} of model.width {model.width:g}, model.latent_dim {model.latent_dim}",
    )
    rows = config.batch_size // config.performance.processes
    # real samples for all critic steps; for one step, noise, and outputs for real and fake samples
    real = config.method.n_critic * math.prod(model.sample_shape or ())
    at_once = rows // config.performance.accumulate
    outputs = rows * real
    outputs += at_once * (2 * _outputs(config, networks["critic"]) + 4 * model.latent_dim)
    require(
        weights // parts + outputs <= available,
        "batch_size",
        expected=f"a batch that fits into {_size(available)} of memory",
        got=f"{config.batch_size}, which needs over {_size(weights // parts + outputs)} "
        f"(with method.n_critic {config.method.n_critic})",
    )


def _available(device: torch.device | None) -> int:
    if device is not None and device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return memory.total_memory()


def _outputs(config: Config, critic: nn.Module) -> int:
    """Return the bytes of one sample and of the outputs that a critic's layers have for it."""
    model = config.model
    own = require_given(model.sample_shape, "model.sample_shape", expected="a shape")
    shape = packed_shape(own, model.pack)
    sizes = [math.prod(shape)]

    def count(_: nn.Module, __: Any, output: Any) -> None:
        sizes.append(output.numel())

    layers = [part for part in critic.modules() if [*part.parameters(recurse=False)]]
    handles = [layer.register_forward_hook(count) for layer in layers]
    # batch norm refuses a single sample, so this passes two
    labels = torch.zeros(2, dtype=torch.int64, device="meta") if model.num_classes else None
    try:
        models.call(critic, torch.empty(2, *shape, device="meta"), labels)
    except Exception:
        # code of others may read values, which the meta device does not have
        if not model.is_own:
            raise
    for handle in handles:
        handle.remove()
    return _BYTES_OF_OUTPUT * (sizes[0] + sum(sizes[1:]) // 2) // model.pack


def _size(number: int) -> str:
    return f"{number / _GIBIBYTE:.3g} GiB"
