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

from sngan import data, models
from sngan.config import Config
from sngan.distributed import collectives, dtensor, fsdp
from sngan.engine.accumulation import backward_in_parts
from sngan.engine.state import TrainState
from sngan.losses import LOSSES
from sngan.models import packed
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
    config = config.of_family(is_images=state.is_images)
    state.scheduled.move_to(state.step, config)
    state.augmentation.start_step(state.step, config.steps)
    method = config.method
    # the generator loss of a relativistic pair also reads a batch of real samples
    num_batches = method.n_critic + LOSSES[method.loss].relativistic
    batches = [state.sampler.take() for _ in range(num_batches)]
    # a CUDA device replays these updates as one graph; a CPU repeats their kernels for points
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
        The settings: the method with its loss and penalty.
    state
        The networks and optimizers. Only the critic, its optimizer and the probability of
        augmentation change.
    batch
        The real samples as the data set stores them.

    Examples
    --------
    >>> from sngan import Config, data, engine
    >>> config = Config(data="ring8", batch_size=8)
    >>> state = engine.TrainState.build(config, data.open_source("ring8"))
    >>> sorted(engine.critic_step(config, state, state.sampler.take()))
    ['critic_gradient_norm', 'critic_loss', 'w_estimate']
    """
    config = config.of_family(is_images=state.is_images)
    method = config.method
    real, labels = state.sampler.prepared(batch)
    with torch.no_grad():
        # the real and the fake sample of a pair have one class, because penalties mix them
        fake = generate(state, draw_noise(state, len(real)), labels)
        real, fake = state.augmentation(real), state.augmentation(fake)
    state.critic_optimizer.zero_grad()
    terms = backward_in_parts(
        state.runtime,
        state.critic,
        partial(_critic_loss, config, state),
        (real, fake, labels),
        parts=config.performance.accumulate,
    )
    terms |= state.augmentation.follow(terms.get("augment_sign"))
    dtensor.reshard(state.critic)
    terms["critic_gradient_norm"] = fsdp.gradient_norm(state.critic)
    # hooks of SpectralNorm around this step normalize the weights
    state.critic_optimizer.step()
    if method.clip:
        clip_weights_(state.critic, method.clip)
    return terms


def _critic_loss(
    config: Config, state: TrainState, real: Tensor, fake: Tensor, labels: Tensor | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the critic's loss with its penalties, and the terms for the log."""
    method = config.method
    # in one batch, batch norm would mix the statistics of real and generated samples
    score_both = _score_apart if state.scores_apart else _score_together
    real_scores, fake_scores = score_both(state, real, fake, labels)
    loss = LOSSES[method.loss].critic(real_scores, fake_scores)
    terms = {
        "critic_loss": loss.detach(),
        "w_estimate": (real_scores.mean() - fake_scores.mean()).detach(),
        **state.augmentation.signs(real_scores, fake_scores),
    }
    if method.penalty is not None:
        penalty = _gradient_penalty(state, method.penalty, real, fake, labels)
        terms["penalty"] = penalty.detach()
        loss = loss + state.scheduled.penalty_weight(config) * penalty
    if method.orthonormal:
        distance = orthonormal(state.critic.module)
        terms["orthonormal"] = distance.detach()
        loss = loss + method.orthonormal * distance
    return loss, terms


def generator_step(config: Config, state: TrainState, batch: data.Batch) -> dict[str, Tensor]:
    """Update the generator once with as many generated samples as the batch has real ones.

    Parameters
    ----------
    config
        The settings: the method with its loss.
    state
        The networks and optimizers. Only the generator and its optimizer change.
    batch
        Real samples as the data set stores them. Only relativistic losses read their values.

    Examples
    --------
    >>> from sngan import Config, data, engine
    >>> config = Config(data="ring8", batch_size=8)
    >>> state = engine.TrainState.build(config, data.open_source("ring8"))
    >>> sorted(engine.generator_step(config, state, state.sampler.take()))
    ['generator_gradient_norm', 'generator_loss']
    """
    config = config.of_family(is_images=state.is_images)
    losses = LOSSES[config.method.loss]
    real_scores, n = None, len(batch.samples)
    with _frozen(state.critic):
        if losses.relativistic:
            real, labels = state.sampler.prepared(batch)
            with torch.no_grad():
                real_scores = score(state, state.augmentation(real), labels)
        else:
            labels = state.sampler.draw_labels(n)
        state.generator_optimizer.zero_grad()
        terms = backward_in_parts(
            state.runtime,
            state.generator,
            partial(_generator_loss, config, state),
            (draw_noise(state, n), real_scores, labels),
            parts=config.performance.accumulate,
        )
        dtensor.reshard(state.critic)
    terms["generator_gradient_norm"] = fsdp.gradient_norm(state.generator)
    state.generator_optimizer.step()
    return terms


def _generator_loss(
    config: Config,
    state: TrainState,
    noise: Tensor,
    real_scores: Tensor | None,
    labels: Tensor | None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the generator's loss on samples from this noise, and the term for the log."""
    fake = generate(state, noise, labels)
    # the critic gets no gradients here, so DDP must not synchronize them
    with state.runtime.no_sync(state.critic):
        fake_scores = score(state, state.augmentation(fake), labels)
    loss = LOSSES[config.method.loss].generator(fake_scores, real_scores)
    return loss, {"generator_loss": loss.detach()}


def draw_noise(state: TrainState, n: int) -> Tensor:
    """Draw standard normal noise ``(n, latent_dim)`` on the device for this rank's samples."""
    size = (n, state.latent_dim)
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
        return _at_least_float32(models.call(state.generator, noise, labels))


def score(state: TrainState, samples: Tensor, labels: Tensor | None) -> Tensor:
    """Score samples by the critic in the precision of the run; the result is at least float32.

    A critic of packs gives one score for each pack of consecutive samples.

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
        return _at_least_float32(models.call(state.critic, _packed(state, samples), labels))


def update_average(state: TrainState, *, start: int) -> None:
    """Move the average towards the generator; up to step ``start`` the average is a copy of it."""
    if state.step <= start:
        # torch's AveragedModel copies the model when its counter is 0
        state.average.n_averaged.zero_()
    state.average.update_parameters(state.generator.module)


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
    scores = partial(models.call, forward, labels=labels)
    coordinates = models.coordinates_of(state.critic.module)
    # the penalty takes a pack as one point: it has one slope, and one interpolation
    real, fake = _packed(state, real), _packed(state, fake)
    with state.runtime.autocast():
        if coordinates is None:
            return PENALTIES[penalty](scores, real, fake)
        # slopes in standard coordinates do not depend on the units of the data
        both = coordinates.standard(real), coordinates.standard(fake)
        return PENALTIES[penalty](lambda points: scores(coordinates.original(points)), *both)


def _packed(state: TrainState, samples: Tensor) -> Tensor:
    return packed(samples, state.pack)


@contextmanager
def _frozen(network: Any) -> Generator[None]:
    """Compute no gradients of the network's weights inside; some may be frozen in any case."""
    learned = [weight for weight in network.parameters() if weight.requires_grad]
    for weight in learned:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in learned:
            weight.requires_grad_(True)


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
