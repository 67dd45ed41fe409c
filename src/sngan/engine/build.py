"""Builders of the parts of a training state: networks, optimizers, constraint, sampler."""

import logging
import random
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from sngan import data, models, spectral
from sngan.config import Config
from sngan.distributed import fsdp
from sngan.engine.averaging import GeneratorAverage
from sngan.engine.compiling import compile_forward
from sngan.engine.scheduling import learning_rates
from sngan.engine.starting_weights import freeze_first_blocks, start_from
from sngan.models.packing import packed_shape
from sngan.runs import networks as run_networks
from sngan.utils.checks import require_given

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


def build_networks(config: Config, dataset: data.Dataset, fabric: "Fabric") -> Networks:
    """Build generator, critic and average on the device: replicated, sharded or compiled.

    Parameters
    ----------
    config
        The resolved settings.
    dataset
        The data, whose points decide the coordinates of the networks.
    fabric
        The launched Fabric.
    """
    is_sharded = config.performance.is_sharded
    plain = run_networks.build_networks(config)
    start_from(config, *plain)
    freeze_first_blocks(plain[1], config.freeze_critic)
    for network in plain:
        if network.coordinates is not None:
            network.coordinates.fit(dataset.samples)
        if fabric.world_size > 1:
            models.synchronize_batch_norms(network)
        if not is_sharded:
            network.to(fabric.device)
    # ScheduledValues sets the rule by which it is updated
    average = GeneratorAverage(plain[0])
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
    config: Config, networks: Networks, fabric: "Fabric", *, is_captured: bool
) -> tuple[Optimizer, Optimizer]:
    """Build the optimizers of generator and critic.

    Parameters
    ----------
    config
        The settings: the method with the kind of optimizer and its options, and the schedule.
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
            config.method.make_optimizer(network.parameters(), lr=lr, captured_on=captured_on)
        )
        for network, lr in zip(
            (networks.generator, networks.critic), learning_rates(config, 0), strict=True
        )
    ]
    return optimizers[0], optimizers[1]


def build_spectral_norms(
    config: Config, networks: Networks, optimizers: tuple[Optimizer, Optimizer]
) -> tuple[spectral.SpectralNorm | None, spectral.SpectralNorm | None]:
    """Build the spectral normalizations of generator and critic; ``None`` without one.

    Parameters
    ----------
    config
        The resolved settings: the method with the kinds of norms and their coefficients.
    networks
        The networks.
    optimizers
        Their optimizers. Hooks around the steps normalize the weights.
    """
    method, model = config.method, config.model
    own = require_given(model.sample_shape, "model.sample_shape", expected="a shape")
    generator, critic = networks.generator.module, networks.critic.module
    with _labelled(generator):
        norms = (
            _spectral_norm(
                generator,
                optimizers[0],
                kind=method.spectral_norm_generator,
                coefficient=method.coefficient_generator,
                shape=(model.latent_dim,),
                # not the scales of conditional batch norm, which are no matrices
                layers=(nn.Linear, nn.Conv2d, nn.ConvTranspose2d),
            ),
            _spectral_norm(
                critic,
                optimizers[1],
                kind=method.spectral_norm,
                coefficient=method.coefficient,
                shape=packed_shape(own, model.pack),
            ),
        )
    if norms[0] is not None:
        # the average began as a copy of weights that were not normalized; a count of 0 copies again
        networks.average.update_parameters(generator)
        networks.average.n_averaged.zero_()
    return norms


def _spectral_norm(
    network: nn.Module,
    optimizer: Optimizer,
    *,
    kind: str | None,
    coefficient: float,
    shape: tuple[int, ...] | None,
    layers: tuple[type[nn.Module], ...] | None = None,
) -> spectral.SpectralNorm | None:
    if kind is None:
        return None
    return spectral.SpectralNorm(
        network,
        optimizer,
        kind=kind,
        coefficient=coefficient,
        # operator norms depend on the shape
        input_shape=shape if kind == "operator" else None,
        layers=layers,
    )


@contextmanager
def _labelled(generator: nn.Module) -> Generator[None]:
    """Give a conditional generator class 0 inside, because operator norms need one pass of it."""

    def add_labels(
        _: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        noise = inputs[0]
        labels = torch.zeros(len(noise), dtype=torch.int64, device=noise.device)
        return (noise,), {**named, "labels": labels}

    if not generator.num_classes:
        yield
        return
    handle = generator.register_forward_pre_hook(add_labels, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


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
    held_out = data.held_out_rows(dataset, int(config.data.held_out or 0), seed=config.seed)
    return data.Sampler(
        dataset if config.model.conditional else replace(dataset, labels=None),
        config.batch_size,
        device=device,
        seed=config.seed,
        flip=config.data.flip,
        dequantize=config.data.dequantize,
        rows=data.trained_rows(dataset, held_out) if len(held_out) else None,
    )
