"""Figures of a run's health: scores, spread, slope and rank at the logged steps of a run.

They use few samples that never change, draw no random numbers of the run, and leave both networks
as they are, so a run with these figures is bit for bit the run without them.
"""

import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sngan import data, spectral
from sngan.config import Config
from sngan.config.intervals import steps_of
from sngan.data.batches.shuffling import seeded_permutation
from sngan.distributed import fsdp
from sngan.engine.health import clouds
from sngan.engine.state import TrainState
from sngan.models import packed
from sngan.runs.networks import balanced_labels, noise_from_seed

_IMAGES, _POINTS, _STEEPEST = 128, 256, 32
_BATCH, _EVERY = 32, 50
# the number of trained images among which copies are searched, and of those compared at once
_SEARCHED, _PART = 4096, 512
_KEY = 0x6865616C
_SMALLEST_MATRIX = 8
# steps between two searches of copies if pictures are drawn by time
_PICTURES = 500


class HealthFigures:
    """Measures the health of a run, from fixed real samples and fixed noise.

    Parameters
    ----------
    config
        The resolved settings.
    dataset
        The data.
    """

    def __init__(self, config: Config, dataset: data.Dataset) -> None:
        self._config, self._dataset = config, dataset
        held_out = data.held_out_rows(dataset, int(config.data.held_out or 0), seed=config.seed)
        trained = data.trained_rows(dataset, held_out)
        trained = trained[seeded_permutation(len(trained), config.seed, _KEY)]
        self._count = _IMAGES if dataset.is_images else _POINTS
        self._real, self._held_out = trained[: self._count], held_out[: self._count]
        half = min(self._count, max(len(trained) // 2, 1))
        self._halves = trained[:half], trained[half : 2 * half]
        self._searched = trained[:_SEARCHED]
        # a longer step may be measured more often, because the share of the time stays the same
        quickness = 2 if dataset.is_images and config.batch_size < _BATCH else 1
        self._every = max(1, _EVERY * quickness // config.method.n_critic)
        self._reference: clouds.Reference | None = None
        self._nearest_of_new: float | None = None
        self._w1_floor: float | None = None

    def is_due(self, step: int, *, since: int) -> bool:
        """Whether a logged step is measured: the first one after each 50 steps, or after fewer.

        ``since`` is the step of the record before.
        """
        return self._passes(self._every, step, before=since)

    def is_due_for_copies(self, step: int, *, since: int) -> bool:
        """Whether a measured step also searches copies: the first one after each picture does."""
        between = max(self._every, step - since)
        pictures = steps_of(self._config.sample_every, default=_PICTURES)
        return self._passes(pictures, step, before=step - between)

    @staticmethod
    def _passes(every: int, step: int, *, before: int) -> bool:
        return step // every > max(before, 0) // every

    def measure(self, state: TrainState, *, copies: bool) -> dict[str, float]:
        """Return the figures of this step. All ranks of a sharded run call this.

        Parameters
        ----------
        state
            The networks.
        copies
            Whether to search the nearest trained image of each generated one, which takes longer.
        """
        device = state.runtime.device
        generator, critic = (
            fsdp.unsharded(network.module) for network in (state.generator, state.critic)
        )
        classes = self._config.model.learned_classes
        labels = balanced_labels(self._count, classes, device=device)
        noise = noise_from_seed(self._count, self._config.model.latent_dim, seed=_KEY).to(device)
        with torch.no_grad(), _evaluating(generator):
            fake = generator.forward(noise, labels).float()
        real, held_out = (self._values(rows, device) for rows in (self._real, self._held_out))
        tensors = self._of_scores(critic, real, fake, held_out, labels)
        if self._reference is None:
            self._reference = clouds.Reference(
                *(self._values(half, device) for half in self._halves)
            )
        tensors |= self._reference.compare(fake)
        tensors |= _of_ranks(critic)
        if copies and self._dataset.is_images:
            tensors |= self._of_copies(fake, held_out)
        values = torch.stack([tensor.float() for tensor in tensors.values()]).tolist()
        found = dict(zip(tensors, values, strict=True))
        found["w1_floor"] = self._floor()
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _floor(self) -> float:
        """Return W1 of two groups of real points, which no generator can undercut by much."""
        if self._w1_floor is None:
            self._w1_floor = math.nan
            if not self._dataset.is_images and len(self._halves[1]):
                # training has imported this already
                from sngan.transport import wasserstein

                x, y = (self._dataset.values(half) for half in self._halves)
                self._w1_floor = wasserstein(x, y).distance
        return self._w1_floor

    def _values(self, rows: Tensor, device: torch.device) -> Tensor:
        return self._dataset.values(rows.to(self._dataset.samples.device)).to(device)

    def _packs(self, samples: Tensor) -> Tensor:
        """Join samples to whole packs, as the critic takes them, and drop the rest."""
        pack = self._config.model.pack
        return packed(samples[: len(samples) // pack * pack], pack)

    def _labels(self, rows: Tensor, device: torch.device) -> Tensor | None:
        labels = self._dataset.labels
        if labels is None or not self._config.model.conditional:
            return None
        return labels[rows.to(labels.device)].to(device)

    def _of_scores(
        self, critic: nn.Module, real: Tensor, fake: Tensor, held_out: Tensor, labels: Tensor | None
    ) -> dict[str, Tensor]:
        """Return mean scores, rates of positive scores, rank statistics, and the slope.

        A critic of packs scores whole packs; nothing is measured where there is none.
        """
        device = real.device
        real, fake, held_out = map(self._packs, (real, fake, held_out))
        if not len(real):
            return {}
        with _unchanged(critic):
            with torch.no_grad():
                of_real = critic.forward(real, self._labels(self._real, device)).float()
                of_fake = critic.forward(fake, labels).float()
                of_held_out = None
                if len(held_out) > 1:
                    given = self._labels(self._held_out, device)
                    of_held_out = critic.forward(held_out, given).float()
            slope = _slope(critic.forward, real, fake, labels)
        found = {
            "real_score": of_real.mean(),
            "generated_score": of_fake.mean(),
            "score_spread": of_real.std(),
            "real_positive": (of_real > 0).float().mean(),
            "generated_positive": (of_fake > 0).float().mean(),
            "real_above_generated": clouds.share_above(of_real, of_fake),
            "slope": slope.mean(),
            "slope_largest": slope.max(),
        }
        if of_held_out is not None:
            found["held_out_score"] = of_held_out.mean()
            found["trained_above_held_out"] = clouds.share_above(of_real, of_held_out)
        return found

    def _of_copies(self, fake: Tensor, held_out: Tensor) -> dict[str, Tensor]:
        """Return the median distance to the nearest trained image, over that of new real images."""
        device, new = fake.device, held_out if len(held_out) else None
        searched = [self._values(rows, device) for rows in self._searched.split(_PART)]
        if self._nearest_of_new is None:
            # without held-out images, each trained image is compared with the other ones
            asked = self._values(self._real, device) if new is None else new
            nearest = clouds.nearest(asked, searched, leave_out_first=new is None)
            self._nearest_of_new = nearest.median().item()
        nearest_of_generated = clouds.nearest(fake, searched).median()
        return {"copy_distance": nearest_of_generated / max(self._nearest_of_new, 1e-12)}


def _slope(
    critic: Callable[..., Tensor], real: Tensor, fake: Tensor, labels: Tensor | None
) -> Tensor:
    """Return the norms of the critic's gradient half-way between real and generated samples."""
    count = min(_STEEPEST, len(real), len(fake))
    between = ((real[:count] + fake[:count]) / 2).detach().requires_grad_()
    with torch.enable_grad():
        scores = critic(between, None if labels is None else labels[:count])
        (gradient,) = torch.autograd.grad(scores.float().sum(), between)
    return gradient.flatten(1).norm(dim=1)


def _of_ranks(critic: nn.Module) -> dict[str, Tensor]:
    """Return the least and the mean effective rank of the critic's larger matrices."""
    ranks = spectral.effective_ranks(critic, smallest=_SMALLEST_MATRIX)
    if not ranks:
        return {}
    found = torch.stack([*ranks.values()])
    return {"rank_least": found.min(), "rank_mean": found.mean()}


@contextmanager
def _evaluating(network: nn.Module) -> Generator[None]:
    """Use the running statistics of batch norm inside, and do not change them."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


@contextmanager
def _unchanged(network: nn.Module) -> Generator[None]:
    """Restore the network's buffers, such as the running statistics of batch norm, at the end."""
    kept: list[tuple[Any, Tensor]] = [(one, one.clone()) for one in network.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for one, value in kept:
                one.copy_(value)
