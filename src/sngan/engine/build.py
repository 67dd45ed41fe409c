"""Builders of the parts of a training state: networks, optimizers, constraint, sampler."""

import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sngan import data, models, spectral
from sngan.config import Config
from sngan.distributed import dtensor, fsdp
from sngan.engine.averaging import GeneratorAverage
from sngan.engine.compiling import compile_forward
from sngan.methods import Method
from sngan.runs import networks as run_networks

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_log = logging.getLogger("sngan")


@dataclass(frozen=True, kw_only=True)
class Networks:
    """Generator and critic in Fabric's wrappers, and the average of the generator."""

    generator: Any
    critic: Any
    average: AveragedModel


def seed_random_numbers(seed: int) -> None:
    """Seed torch and Python: all random numbers of a run come from these two."""
    torch.manual_seed(seed)
    random.seed(seed)
    # all batches have one shape, so the search for the fastest kernels pays off
    torch.backends.cudnn.benchmark = True


def build_networks(config: Config, fabric: "Fabric") -> Networks:
    """Build generator, critic and average on the device: replicated, sharded or compiled."""
    is_sharded = config.performance.is_sharded
    plain = run_networks.build_networks(config)
    for network in plain:
        if fabric.world_size > 1:
            models.synchronize_batch_norms(network)
        if not is_sharded:
            network.to(fabric.device)
    update = _ema_of_parts(config.ema_decay)
    average = GeneratorAverage(plain[0], multi_avg_fn=update)
    # sharding moves one stage after the other to the device, which may not hold them all
    generator, critic = (
        fabric.setup_module(network, move_to_device=not is_sharded) for network in plain
    )
    wanted = config.performance.compile
    if is_sharded:
        fsdp.shard(average.module, fsdp.mesh_of(generator.module))
        if config.method.penalty is not None or config.method.orthonormal:
            fsdp.keep_gathered(critic.module)
        if wanted == "on":
            _log.warning(
                "performance.compile: not compiled, because FSDP gathers the weights in between"
            )
        wanted = "off"
    compile_forward(generator.module, critic.module, device=fabric.device, wanted=wanted)
    return Networks(generator=generator, critic=critic, average=average)


def build_optimizers(
    method: Method, networks: Networks, fabric: "Fabric", *, is_captured: bool
) -> tuple[Optimizer, Optimizer]:
    """Build the optimizers of generator and critic.

    Parameters
    ----------
    method
        The method with the kind of optimizer and its options.
    networks
        The networks whose weights the optimizers update.
    fabric
        The launched Fabric, which wraps the optimizers.
    is_captured
        Whether a CUDA graph captures their steps. Then their state must be on the device.
    """
    captured_on = fabric.device if is_captured else None
    optimizers: list[Any] = [
        fabric.setup_optimizers(
            method.make_optimizer(network.parameters(), captured_on=captured_on)
        )
        for network in (networks.generator, networks.critic)
    ]
    return optimizers[0], optimizers[1]


def build_spectral_norm(
    method: Method, critic: nn.Module, optimizer: Optimizer, *, shape: tuple[int, ...]
) -> spectral.SpectralNorm | None:
    """Build the spectral normalization of the critic; ``None`` if the method has none.

    Parameters
    ----------
    method
        The method with the kind of norm and the coefficient.
    critic
        The plain critic.
    optimizer
        The critic's optimizer. Hooks around its steps normalize the weights.
    shape
        The shape of a sample. Operator norms depend on it.
    """
    if method.spectral_norm is None:
        return None
    return spectral.SpectralNorm(
        critic,
        optimizer,
        kind=method.spectral_norm,
        coefficient=method.coefficient,
        input_shape=shape if method.spectral_norm == "operator" else None,
    )


def build_sampler(config: Config, dataset: data.Dataset, *, device: torch.device) -> data.Sampler:
    """Build the sampler of real batches; labels are left out for an unconditional model.

    Parameters
    ----------
    config
        The resolved settings.
    dataset
        The data.
    device
        The device that receives the batches.
    """
    return data.Sampler(
        dataset if config.model.conditional else replace(dataset, labels=None),
        config.batch_size,
        device=device,
        seed=config.seed,
        flip=config.data.flip,
        dequantize=config.data.dequantize,
    )


def _ema_of_parts(decay: float) -> Callable[..., None]:
    """Return a function that updates a moving average; each rank updates its own part."""
    update = get_ema_multi_avg_fn(decay)

    def update_parts(average: Iterable[Tensor], current: Iterable[Tensor], count: Tensor) -> None:
        update([*map(dtensor.local_tensor, average)], [*map(dtensor.local_tensor, current)], count)

    return update_parts
