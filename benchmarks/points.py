"""Contenders of ``benchmarks.engine`` for points, whose networks are small.

- `sngan`: the engine, which repeats recorded operations from its fifth step on.
- `sngan called`: the same with `performance.replay=off`, so that Python calls each step.
- `sngan compiled`: the same with `performance.compile=on`, which compiles the forward passes.
- `careful`: a loop written well, on torch's parametrized spectral norm: fakes without gradients,
  real and fake in one forward, no critic gradients in the generator's step.
- `careful, fused`: the same with torch's fused Adam, which is not its default on a CPU.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sngan import METHODS, Config, data
from sngan.config import ModelConfig, PerformanceConfig
from sngan.engine import TrainState, train_step
from sngan.engine.nan_guard import NanGuard
from sngan.engine.resolve import resolve_config
from sngan.losses import LOSSES
from sngan.runs.networks import build_networks

Iteration = Callable[[], None]


class Size(NamedTuple):
    """The settings of a size; networks have three hidden layers of ``256·width``."""

    method: str
    width: float
    batch_size: int
    latent_dim: int
    n_critic: int


SIZES = {
    "points 128, batch 256, sn, n_critic 1": Size("sn", 0.5, 256, 2, 1),
    "points 128, batch 256, vanilla, n_critic 1": Size("vanilla", 0.5, 256, 2, 1),
    "points 128, batch 256, wgan-gp, n_critic 1": Size("wgan-gp", 0.5, 256, 2, 1),
    "points 256, batch 64, sn, n_critic 5": Size("sn", 1.0, 64, 128, 5),
    "points 256, batch 64, vanilla, n_critic 1": Size("vanilla", 1.0, 64, 128, 1),
    "points 256, batch 64, wgan-gp, n_critic 5": Size("wgan-gp", 1.0, 64, 128, 5),
}
ITERATIONS = 10
_SOURCE = "grid25"
_DECAY = 0.999


def settings(name: str, **performance: str) -> Config:
    """The engine's settings of a size, with other settings of performance."""
    size = SIZES[name]
    config = Config(
        data=_SOURCE,
        method=replace(METHODS[size.method], n_critic=size.n_critic),
        model=ModelConfig(name="mlp", width=size.width, latent_dim=size.latent_dim),
        performance=PerformanceConfig(**{"device": "cpu", **performance}),
        batch_size=size.batch_size,
        ema_decay=_DECAY,
        ema_start=0,
    )
    return resolve_config(config, data.open_source(_SOURCE))


def engine(name: str, **performance: str) -> Iteration:
    """One iteration of sngan's engine, with its check for NaN."""
    config = settings(name, **performance)
    state = TrainState.build(config, data.open_source(_SOURCE))
    guard = NanGuard(state.runtime.device)

    def iteration() -> None:
        guard.update(train_step(config, state), state.step)

    return iteration


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    share = torch.rand(len(real), 1)
    points = (share * real + (1 - share) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return (gradient.norm(dim=1) - 1).square().mean()


def careful(name: str, *, fused: bool = False) -> Iteration:
    """One iteration of a loop written well."""
    config = settings(name)
    method, batch_size = config.method, config.batch_size
    torch.manual_seed(0)
    generator, critic = build_networks(config)
    if method.spectral_norm:
        for layer in list(critic.modules()):
            if isinstance(layer, nn.Linear):
                spectral_norm(layer)
    adam = partial(torch.optim.Adam, lr=method.lr, betas=method.betas, fused=fused)
    critic_optimizer, generator_optimizer = adam(critic.parameters()), adam(generator.parameters())
    average = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(_DECAY), use_buffers=True)
    points, loss_pair = data.open_source(_SOURCE).samples, LOSSES[method.loss]

    def generated() -> Tensor:
        return generator(torch.randn(batch_size, config.model.latent_dim))

    def iteration() -> None:
        for _ in range(method.n_critic):
            real = points[torch.randint(len(points), (batch_size,))]
            with torch.no_grad():
                fake = generated()
            loss = loss_pair.critic(*critic(torch.cat([real, fake])).chunk(2))
            if method.penalty:
                loss = loss + method.penalty_weight * gradient_penalty(critic, real, fake)
            critic_optimizer.zero_grad()
            loss.backward()
            critic_optimizer.step()
        critic.requires_grad_(False)
        loss = loss_pair.generator(critic(generated()))
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()
        critic.requires_grad_(True)
        average.update_parameters(generator)

    return iteration


def repeated(iteration: Iteration) -> Iteration:
    """Several iterations, because the clock of CPU time is too coarse for one."""

    def run() -> None:
        for _ in range(ITERATIONS):
            iteration()

    return run


CONTENDERS: dict[str, Callable[[str], Iteration]] = {
    "sngan": engine,
    "sngan called": partial(engine, replay="off"),
    "sngan compiled": partial(engine, compile="on"),
    "careful": careful,
    "careful, fused": partial(careful, fused=True),
}
