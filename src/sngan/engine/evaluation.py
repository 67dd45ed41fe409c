"""What a run finds out about itself: metrics of its samples, the W1 it estimates, its norms."""

import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from sngan import data
from sngan.config import Config
from sngan.distributed import fsdp
from sngan.engine.state import State
from sngan.runs.run import noise_from_seed
from sngan.utils.checks import require_one_of

_POINTS = 256
_log = logging.getLogger("sngan")


class Judge:
    """Evaluates the averaged generator along a run, and tells the best by one metric.

    Raises
    ------
    ValueError
        A metric, an extractor or a number of samples that does not fit the data.
    """

    def __init__(self, config: Config, dataset: data.Dataset) -> None:
        # seconds of import time that runs without evaluation should not pay
        from sngan.metrics import HIGHER_IS_BETTER, Evaluator

        settings = config.evaluation
        usual = "frechet" if dataset.is_images else "w1"
        self.metric = usual if settings.best == "auto" else settings.best
        require_one_of(self.metric, "evaluation.best", choices=["auto", *HIGHER_IS_BETTER])
        self._sign = 1.0 if HIGHER_IS_BETTER[self.metric] else -1.0
        self._samples = settings.samples
        self._best: float | None = None
        self._evaluator = Evaluator.from_settings(
            dataset, settings, seed=config.seed, split=config.data.split
        )

    def evaluate(self, state: State, *, seed: int) -> dict[str, float]:
        """The metrics of samples from noise that is the same at every step."""
        return self._evaluator(state.sample(self._samples, seed=seed)).values

    def is_best(self, values: Mapping[str, float]) -> bool:
        """Whether none of the run's earlier records has a better value of the metric."""
        if self.metric not in values:
            return False
        value = self._sign * values[self.metric]
        is_best = not math.isnan(value) and (self._best is None or value > self._best)
        if is_best:
            self._best = value
        return is_best

    def follow(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Take note of the records of a run that goes on."""
        for record in records:
            value = (record.get("evaluation") or {}).get(self.metric)
            if isinstance(value, int | float):
                self.is_best({self.metric: value})


@torch.no_grad()
def transport_record(state: State, *, seed: int) -> dict[str, float]:
    """Exact W1 between fixed real points and the generator's, and the critic's certified bound.

    ``w1`` is W1 of 256 real points and as many generated from fixed noise; ``w1_bound``
    = (mean f(real) − mean f(generated))/L is below it whatever the critic f (Kantorovich,
    Rubinstein); ``lipschitz`` is the proved L. Nothing for images.
    """
    if state.dataset.is_images:
        return {}
    # a second of import time that only runs on points should pay
    from sngan.lipschitz import lipschitz_bounds
    from sngan.transport import critic_bound, wasserstein

    real = state.dataset.samples[:_POINTS].to(state.device)
    noise = noise_from_seed(len(real), state.latent_dim, seed=seed).to(state.device)
    generator, critic = (
        fsdp.unsharded(network.module) for network in (state.generator, state.critic)
    )
    fake = generator(noise, state.fixed_labels(len(real)))
    # cheap enough for every logged step: no search for a steep point, the plain product
    bounds = lipschitz_bounds(
        critic, state.dataset.sample_shape, slopes="product", samples=1, rounds=0
    )
    record = {"w1": wasserstein(real, fake).distance, "lipschitz": bounds.upper}
    if 0 < bounds.upper < float("inf"):
        record["w1_bound"] = critic_bound(critic, real, fake, bounds.upper)
    return record


def certify(state: State) -> None:
    """Turn operator norms that were followed from below into certificates, named in the log."""
    norm = state.spectral_norm
    if norm is None or norm.kind != "operator":
        return
    for layer, bound in norm.certify().items():
        _log.info("certified: %s has an operator norm of at most %.9f", layer, bound)
