"""Training for a table: the engine's steps in memory, and measurements at given steps."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.results.records import Skipped
from sngan import data
from sngan.config import Config, DataConfig, ModelConfig, PerformanceConfig
from sngan.engine import TrainState, train_step
from sngan.engine.resolve import resolve_config
from sngan.methods import named
from sngan.metrics import frechet_distance, inception_score
from sngan.metrics.extractors import Extractor, extract
from sngan.runs.networks import noise_from_seed

NOISE_SEED = 20180216
_BATCH = 128

Measure = Callable[[TrainState], dict[str, Any]]


def config_of(given: dict[str, Any], source: str) -> Config:
    """The settings of a run of the paper's CNN on the CPU, from those of a cell.

    Raises
    ------
    Skipped
        If this version of sngan does not know a setting of the cell.
    """
    sizes = {key: given[key] for key in ("width", "latent_dim", "pack") if key in given}
    try:
        return Config(
            data=DataConfig(source=source, augment=given.get("augment")),
            model=ModelConfig(name="cnn", **sizes),
            method=named(
                given["method"],
                optimizer="adam",
                lr=given["lr"],
                betas=tuple(given["betas"]),
                n_critic=given["n_critic"],
            ),
            performance=PerformanceConfig(device="cpu"),
            seed=given["seed"],
            batch_size=given["batch_size"],
            schedule=given.get("schedule", "constant"),
            ema_decay=given["ema_decay"],
            ema_start=0,
        )
    except (TypeError, ValueError) as error:
        raise Skipped(f"this version of sngan lacks a setting: {error}") from error


def train_and_measure(
    config: Config, dataset: data.Dataset, *, marks: Sequence[int], measure: Measure
) -> list[dict[str, Any]]:
    """Train, and measure after each of these numbers of steps; the last one ends the run.

    A run whose losses or gradients are not finite stops at the next mark: it and those after it
    have ``diverged``, and no numbers.
    """
    config = resolve_config(replace(config, steps=marks[-1]), dataset)
    state = TrainState.build(config, dataset)
    measured: list[dict[str, Any]] = []
    for mark in marks:
        is_finite = torch.ones((), dtype=torch.bool)
        while state.step < mark:
            terms = train_step(config, state)
            is_finite &= torch.stack(list(terms.values())).isfinite().all()
        if not is_finite:
            return [*measured, {"step": mark, "diverged": True}]
        measured.append({"step": mark, **measure(state)})
    return measured


@torch.no_grad()
def sample(generator: nn.Module, count: int, *, latent_dim: int, seed: int = NOISE_SEED) -> Tensor:
    """Generate images in [−1, 1] as 8 bits would hold them, on the CPU, from fixed noise."""
    was_training = generator.training
    generator.eval()
    device = next(generator.parameters()).device
    noise = noise_from_seed(count, latent_dim, seed=seed).to(device)
    images = torch.cat([generator(part).cpu() for part in noise.split(_BATCH)])
    generator.train(was_training)
    return ((images.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


class DomainScores:
    """Fréchet distance to held-out images and Inception Score, by one fixed classifier."""

    def __init__(self, extractor: Extractor, held_out: data.Dataset) -> None:
        self._extractor = extractor
        self.key = extractor.key
        real = extract(extractor, held_out.values(torch.arange(len(held_out))))
        self._real = real.features

    def __call__(self, images: Tensor) -> dict[str, float]:
        found = extract(self._extractor, images)
        assert found.logits is not None
        return {
            "frechet": frechet_distance(found.features, self._real),
            "inception_score": inception_score(found.logits).score,
        }
