"""Evaluation during training: metrics of samples, W1 of points, certified norms of the critic."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sngan import data, models
from sngan.config import Config, EvaluationConfig
from sngan.distributed import fsdp
from sngan.engine.state import TrainState
from sngan.models.packing import packed_shape
from sngan.runs.networks import balanced_labels, noise_from_seed
from sngan.utils.checks import require, require_one_of
from sngan.utils.text import first_line

if TYPE_CHECKING:
    from sngan.metrics import Evaluator

_POINTS = 256
_MODE_SAMPLES = 2500
_log = logging.getLogger("sngan")


class PeriodicEvaluation:
    """Measures generated samples during training, and remembers the best value of one metric.

    The evaluator of an evaluation at automatic times is made at the first one, because many runs
    are too short to have any. If it cannot evaluate this data, the run goes on without.

    Raises
    ------
    ValueError
        If a metric, an extractor or a number of samples does not fit the data.
    """

    def __init__(self, config: Config, dataset: data.Dataset) -> None:
        settings = config.evaluation
        usual = "frechet" if dataset.is_images else "w1"
        self.metric = usual if settings.best == "auto" else settings.best
        self.num_samples = settings.samples
        self._config, self._dataset = config, dataset
        self._best: float | None = None
        self._is_automatic = settings.every == "auto"
        self._is_broken = False
        if not self._is_automatic or _is_chosen(settings):
            _require_enough(dataset)
            _ = self._sign, self._evaluator

    @cached_property
    def _evaluator(self) -> "Evaluator":
        # this import takes time that a run without evaluation should not pay
        from sngan.metrics import Evaluator

        config = self._config
        return Evaluator.from_settings(
            self._dataset, config.evaluation, seed=config.seed, split=config.data.split
        )

    @cached_property
    def _sign(self) -> float:
        from sngan.metrics import HIGHER_IS_BETTER

        require_one_of(self.metric, "evaluation.best", choices=["auto", *HIGHER_IS_BETTER])
        return 1.0 if HIGHER_IS_BETTER[self.metric] else -1.0

    def measure(self, samples: Tensor) -> dict[str, float]:
        """Return the metrics of ``num_samples`` generated samples.

        Raises
        ------
        ValueError
            If the samples cannot be measured, unless nobody asked for it: then a line of the log
            says so once, and the result is empty from then on.
        """
        if self._is_broken:
            return {}
        try:
            return self._evaluator(samples).values
        except ValueError as error:
            if not self._is_automatic:
                raise
            self._is_broken = True
            _log.warning("no evaluation of this run: %s", first_line(error))
            return {}

    def is_best(self, values: Mapping[str, float]) -> bool:
        """Return whether the metric is better than all values so far; if it is, remember it."""
        if self.metric not in values:
            return False
        value = self._sign * values[self.metric]
        is_best = not math.isnan(value) and (self._best is None or value > self._best)
        if is_best:
            self._best = value
        return is_best

    def remember(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Read the best value so far from the records of a resumed run."""
        for record in records:
            value = (record.get("evaluation") or {}).get(self.metric)
            if isinstance(value, int | float):
                self.is_best({self.metric: value})


def _require_enough(dataset: data.Dataset) -> None:
    from sngan.metrics.evaluator import MINIMUM

    expected = f"at least {MINIMUM} samples for evaluations"
    require(len(dataset) >= MINIMUM, "data", expected=expected, got=len(dataset))


def _is_chosen(settings: EvaluationConfig) -> bool:
    """Whether the user chose how to evaluate, so that a choice that does not fit is an error."""
    usual = EvaluationConfig()
    names = ("extractor", "best", "weights")
    return any(getattr(settings, name) != getattr(usual, name) for name in names)


@torch.no_grad()
def measure_transport(
    state: TrainState, dataset: data.Dataset, *, classes: Sequence[int], seed: int
) -> dict[str, float]:
    """Return the exact W1 between real and generated points, and the critic's lower bound of it.

    ``w1`` is W1 between 256 real points and as many points generated from fixed noise;
    ``w1_bound`` = (mean f(real) − mean f(generated))/L is at most ``w1`` for every critic f, by
    Kantorovich's and Rubinstein's duality; ``lipschitz`` is the proved Lipschitz constant L.
    For images the result is empty. A critic of packs is a function of several points, with the
    constant ``lipschitz`` as such. Its mean scores bound a distance between packs, not W1 between
    points, so there is no ``w1_bound``.

    Parameters
    ----------
    state
        The networks. Where they are sharded, all ranks call this function.
    dataset
        The real points.
    classes
        The classes of a conditional generator; empty for others.
    seed
        The seed of the noise.
    """
    if dataset.is_images:
        return {}
    # these imports take a second that a run on images should not pay
    from sngan.lipschitz import lipschitz_bounds
    from sngan.transport import critic_bound, wasserstein

    device = state.runtime.device
    real = dataset.samples[:_POINTS].to(device)
    generator, critic = (
        fsdp.unsharded(network.module) for network in (state.generator, state.critic)
    )
    noise = noise_from_seed(len(real), state.latent_dim, seed=seed).to(device)
    fake = models.call(generator, noise, balanced_labels(len(real), classes, device=device))
    # each logged step computes this bound, so it must be cheap: a product of norms and no search
    pack = state.pack
    shape = packed_shape(dataset.sample_shape, pack)
    with models.as_class_zero(critic, is_conditional=bool(classes)):
        bounds = lipschitz_bounds(critic, shape, slopes="product", lower=False)
        record = {"w1": wasserstein(real, fake).distance, "lipschitz": bounds.upper}
        if pack == 1 and 0 < bounds.upper < float("inf"):
            record["w1_bound"] = critic_bound(critic, real, fake, bounds.upper)
    return record


def measure_modes(sample: Callable[[int], Tensor], dataset: data.Dataset) -> dict[str, int | float]:
    """Return how the points of ``sample(n)`` cover a known mixture; nothing for other data."""
    mixture = data.MIXTURES.get(dataset.name)
    if mixture is None:
        return {}
    # this import takes a second that a run on other data should not pay
    from sngan.metrics import mixture_coverage

    found = mixture_coverage(sample(_MODE_SAMPLES), mixture).to_dict()
    return {name: value for name, value in found.items() if name != "modes_of"}


def certify(state: TrainState) -> None:
    """Replace the critic's estimates of operator norms by proved upper bounds, and log these.

    The state keeps the estimates, from which a longer run goes on.
    """
    norm = state.spectral_norm
    if norm is None or norm.kind != "operator":
        return
    state.keep_uncertified()
    for layer, bound in norm.certify().items():
        _log.info("certified: %s has an operator norm of at most %.9f", layer, bound)
