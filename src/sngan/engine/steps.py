"""Training step of a GAN: ``n_critic`` critic steps, then one generator step. Read this file first.

Every function here only queues work on the device. Nothing reads a value back, so the device never
waits for Python, and a CUDA graph can capture a whole step.
"""

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sngan import data
from sngan.augment import augment, names_in
from sngan.config import Config
from sngan.distributed import collectives, dtensor, fsdp
from sngan.engine.state import TrainState
from sngan.losses import LOSSES
from sngan.penalties import PENALTIES, clip_weights_, orthonormal


def train_step(config: Config, state: TrainState) -> dict[str, Tensor]:
    """Train both networks for one generator step, and return the losses and gradient norms.

    Goodfellow et al. 2014, arXiv:1406.2661, with ``n_critic`` critic steps for each generator step
    as in Arjovsky et al. 2017, arXiv:1701.07875.

    Returns
    -------
    dict
        Scalar tensors on the device, such as ``critic_loss`` and ``generator_gradient_norm``. The
        next step may overwrite them.

    Examples
    --------
    >>> from sngan import Config, data
    >>> from sngan.engine import TrainState, train_step
    >>> config = Config(data="ring8", batch_size=8)
    >>> state = TrainState.build(config, data.open_source("ring8"))
    >>> terms = train_step(config, state)
    >>> state.step, terms["critic_loss"].shape
    (1, torch.Size([]))
    """
    set_learning_rate(state, _scheduled_learning_rate(config, state.step))
    method = config.method
    # the generator loss of a relativistic pair also reads a batch of real samples
    num_batches = method.n_critic + LOSSES[method.loss].relativistic
    batches = [state.sampler.take() for _ in range(num_batches)]
    # on a CUDA device these updates are one captured graph, for points on a CPU recorded kernels
    terms = state.runtime.graph(partial(_update_networks, config, state), batches)
    state.step += 1
    update_average(state, start=config.ema_start)
    return terms


def _update_networks(
    config: Config, state: TrainState, batches: list[data.Batch]
) -> dict[str, Tensor]:
    critic_terms: dict[str, Tensor] = {}
    for batch in batches[: config.method.n_critic]:
        critic_terms = critic_step(config, state, batch)
    return critic_terms | generator_step(config, state, batches[-1])


def critic_step(config: Config, state: TrainState, batch: data.Batch) -> dict[str, Tensor]:
    """Update the critic once with a batch of real samples and as many generated ones.

    Parameters
    ----------
    config
        The settings: the method with its loss and penalty, the augmentation.
    state
        The networks and optimizers. Only the critic and its optimizer change.
    batch
        The real samples as the data set stores them.
    """
    method, policy = config.method, names_in(config.data.augment or "")
    real, labels = state.sampler.prepared(batch)
    with torch.no_grad():
        # the real and the fake sample of a pair have one class, because penalties mix them
        fake = generate(state, draw_noise(state, len(real)), labels)
        real, fake = augment(real, policy), augment(fake, policy)
    # in one batch, batch norm would mix the statistics of real and generated samples
    score_both = _score_apart if method.critic_norm == "batch" else _score_together
    real_scores, fake_scores = score_both(state, real, fake, labels)
    loss = LOSSES[method.loss].critic(real_scores, fake_scores)
    terms = {
        "critic_loss": loss.detach(),
        "w_estimate": (real_scores.mean() - fake_scores.mean()).detach(),
    }
    if method.penalty is not None:
        penalty = _gradient_penalty(state, method.penalty, real, fake, labels)
        terms["penalty"] = penalty.detach()
        loss = loss + method.penalty_weight * penalty
    if method.orthonormal:
        distance = orthonormal(state.critic.module)
        terms["orthonormal"] = distance.detach()
        loss = loss + method.orthonormal * distance
    state.critic_optimizer.zero_grad()
    state.runtime.backward(loss)
    dtensor.reshard(state.critic)
    terms["critic_gradient_norm"] = fsdp.gradient_norm(state.critic)
    # hooks of SpectralNorm around this step normalize the weights
    state.critic_optimizer.step()
    if method.clip:
        clip_weights_(state.critic, method.clip)
    return terms


def generator_step(config: Config, state: TrainState, batch: data.Batch) -> dict[str, Tensor]:
    """Update the generator once with as many generated samples as the batch has real ones.

    Parameters
    ----------
    config
        The settings: the method with its loss, the augmentation.
    state
        The networks and optimizers. Only the generator and its optimizer change.
    batch
        Real samples as the data set stores them. Only relativistic losses read their values.
    """
    losses, policy = LOSSES[config.method.loss], names_in(config.data.augment or "")
    real_scores, n = None, len(batch.samples)
    with _frozen(state.critic):
        if losses.relativistic:
            real, labels = state.sampler.prepared(batch)
            with torch.no_grad():
                real_scores = score(state, augment(real, policy), labels)
        else:
            labels = state.sampler.draw_labels(n)
        fake = generate(state, draw_noise(state, n), labels)
        # the critic gets no gradients here, so DDP must not synchronize them
        with state.runtime.no_sync(state.critic):
            fake_scores = score(state, augment(fake, policy), labels)
        loss = losses.generator(fake_scores, real_scores)
        state.generator_optimizer.zero_grad()
        state.runtime.backward(loss)
        dtensor.reshard(state.critic)
    terms = {
        "generator_loss": loss.detach(),
        "generator_gradient_norm": fsdp.gradient_norm(state.generator),
    }
    state.generator_optimizer.step()
    return terms


def draw_noise(state: TrainState, n: int) -> Tensor:
    """Draw standard normal noise ``(n, latent_dim)`` on the device for this rank's samples."""
    size = (n, state.generator.module.latent_dim)
    return collectives.draw_local_rows(torch.randn, size, device=state.runtime.device)


def generate(state: TrainState, noise: Tensor, labels: Tensor | None) -> Tensor:
    """Generate samples from noise in the precision of the run; the result is at least float32.

    Parameters
    ----------
    state
        The state with the generator.
    noise
        The noise ``(n, latent_dim)``.
    labels
        The classes ``(n,)``; ``None`` for an unconditional model.
    """
    with state.runtime.autocast():
        return _at_least_float32(state.generator(noise, labels))


def score(state: TrainState, samples: Tensor, labels: Tensor | None) -> Tensor:
    """Score samples by the critic in the precision of the run; the result is at least float32.

    Parameters
    ----------
    state
        The state with the critic.
    samples
        Images ``(n, channels, height, width)`` or points ``(n, dim)``.
    labels
        The classes ``(n,)``; ``None`` for an unconditional model.
    """
    with state.runtime.autocast():
        return _at_least_float32(state.critic(samples, labels))


def set_learning_rate(state: TrainState, lr: float) -> None:
    """Set the learning rate of both optimizers."""
    for optimizer in (state.generator_optimizer, state.critic_optimizer):
        for group in optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                # a captured graph reads the rate from this tensor
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr


def update_average(state: TrainState, *, start: int) -> None:
    """Move the average towards the generator; up to step ``start`` the average is a copy of it."""
    if state.step <= start:
        # torch's AveragedModel copies the model when its counter is 0
        state.average.n_averaged.zero_()
    state.average.update_parameters(state.generator.module)


def _scheduled_learning_rate(config: Config, step: int) -> float:
    remaining = 1.0 - step / config.steps if config.schedule == "linear" else 1.0
    return config.method.lr * remaining


def _score_apart(
    state: TrainState, real: Tensor, fake: Tensor, labels: Tensor | None
) -> tuple[Tensor, Tensor]:
    return score(state, real, labels), score(state, fake, labels)


def _score_together(
    state: TrainState, real: Tensor, fake: Tensor, labels: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Score real and generated samples in one forward pass, which is faster than two."""
    both = None if labels is None else labels.repeat(2)
    real_scores, fake_scores = score(state, torch.cat([real, fake]), both).chunk(2)
    return real_scores, fake_scores


def _gradient_penalty(
    state: TrainState, penalty: str, real: Tensor, fake: Tensor, labels: Tensor | None
) -> Tensor:
    # a compiled forward has no second derivative, so this calls the plain forward and its hooks
    forward = state.critic.module._call_impl  # pyright: ignore[reportPrivateUsage]
    with state.runtime.autocast():
        return PENALTIES[penalty](partial(forward, labels=labels), real, fake)


@contextmanager
def _frozen(network: Any) -> Generator[None]:
    """Compute no gradients of the network's weights inside."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
