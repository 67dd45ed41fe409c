"""Runs of the benchmark of `sngan doctor`: healthy ones, and ones made ill on purpose."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from sngan import Config
from sngan.config import DataConfig, ModelConfig
from sngan.engine import build, loop
from sngan.methods import named

POINTS = ("ring8", "grid25")
IMAGES = ("digits", "cifar16")
_WIDTH = {"digits": 0.25, "cifar16": 0.125}
CIFAR = "test-00000-of-00001.parquet"
# the step after which a frozen critic no longer learns, as a part of the run
_FROZEN_AT = 0.3
_SMALL = 0.1


@dataclass(frozen=True)
class Case:
    """One run: its settings, an operation on the training, and the findings that name its illness.

    A healthy run has no names; a doctor that gives one of the names is right about an ill run.
    """

    data: str
    illness: str
    seed: int
    method: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    operation: Callable[[Config], AbstractContextManager[None]] = lambda _: nullcontext()
    images: int | None = None
    names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the run, and of its file of records."""
        return f"{self.data}-{self.illness}-{self.seed}"

    def config(self, work: Path, cifar: Path | None) -> Config:
        """Return the settings of the run; its data and its folder lie below ``work``."""
        is_points = self.data in (*POINTS, "swissroll")
        method = ({"coefficient": 2.0, "lr": 2e-3} if is_points else {"lr": 5e-4}) | {"n_critic": 1}
        model = (
            ModelConfig(latent_dim=2, width=0.5)
            if is_points
            else ModelConfig(name="cnn", latent_dim=32, width=_WIDTH[self.data])
        )
        steps = 700 if is_points else 500
        every = {"log_every": 50, "sample_every": 10**6 if is_points else 100, "save_every": 10**6}
        fields: dict[str, Any] = {
            "batch_size": 128 if is_points else 32,
            "schedule": "linear" if is_points else "constant",
            "steps": steps,
            **every,
            **self.settings,
        }
        return Config(
            data=self._data(work, cifar),
            method=named(**{"name": "sn", **method, **self.method}),
            model=model,
            seed=self.seed,
            out=str(work / self.name),
            **fields,
        )

    def _data(self, work: Path, cifar: Path | None) -> DataConfig:
        source = "digits" if self.data == "digits" else self.data
        side = None
        if self.data == "cifar16":
            assert cifar is not None
            source, side = str(cifar / CIFAR), 16
        if self.images is None:
            return DataConfig(source=source, resolution=side)
        # of these images, a third is kept from training
        path = work / f"{self.data}-{self.images}.npz"
        _write_some(DataConfig(source=source, resolution=side), path, self.images * 3 // 2)
        return DataConfig(source=str(path), held_out=self.images // 2)


def _write_some(settings: DataConfig, path: Path, count: int) -> None:
    from sngan.data import open_source

    if not path.exists():
        dataset = open_source(settings.source, resolution=settings.resolution)
        images = dataset.samples[:: len(dataset) // count][:count]
        np.savez(path, images=images.permute(0, 2, 3, 1).numpy())


@contextmanager
def small_generator(config: Config) -> Iterator[None]:
    """Build a generator ten times narrower than the settings say."""
    whole = build.run_networks.build_networks

    def networks(asked: Config) -> Any:
        narrow = replace(asked.model, width=_SMALL * asked.model.width)
        _, critic = whole(asked)
        generator, _ = whole(replace(asked, model=narrow))
        return generator, critic

    with mock.patch.object(build.run_networks, "build_networks", networks):
        yield


@contextmanager
def frozen_critic(config: Config) -> Iterator[None]:
    """Stop the critic's learning after the first part of the run."""
    step = loop.train_step

    def train_step(settings: Config, state: Any) -> Any:
        if state.step >= _FROZEN_AT * settings.steps:
            state.critic_optimizer.step = lambda *_: None
        return step(settings, state)

    with mock.patch.object(loop, "train_step", train_step):
        yield


UNSTABLE = ("exploding gradient", "collapse", "oscillation", "vanishing gradient", "rank collapse")
BEHIND = ("generator left behind", "collapse", "vanishing gradient")


def cases() -> list[Case]:
    """Return all runs; those of one illness differ in their data and seed."""
    return [*_healthy(), *_ill_everywhere(), *_ill_points(), *_ill_images()]


def _healthy() -> Iterator[Case]:
    for data in POINTS:
        for seed in (0, 1, 2):
            yield Case(data, "healthy-sn", seed)
        yield Case(data, "healthy-sn-4", 0, {"coefficient": 4.0, "lr": 1e-3})
        yield Case(data, "healthy-vanilla", 0, {"name": "vanilla", "lr": 1e-3})
        yield Case(data, "healthy-r1", 0, {"name": "r1", "penalty_weight": 0.1, "lr": 1e-3})
        yield Case(data, "healthy-sn-constant", 0, {"lr": 1e-3}, {"schedule": "constant"})
    yield Case("swissroll", "healthy-sn", 0)
    for data in IMAGES:
        for seed in (0, 1, 2):
            yield Case(data, "healthy-sn", seed)
        yield Case(data, "healthy-sn-slow", 0, {"lr": 2e-4, "n_critic": 2})
        yield Case(data, "healthy-wgan-gp", 0, {"name": "wgan-gp", "lr": 5e-4, "n_critic": 2})
        yield Case(data, "healthy-r1", 0, {"name": "r1", "lr": 5e-4})
        yield Case(data, "healthy-ln", 0, {"name": "ln", "lr": 5e-4})
        yield Case(data, "healthy-orthonormal", 0, {"name": "orthonormal"})


def _ill_everywhere() -> Iterator[Case]:
    for data in (*POINTS, *IMAGES):
        lr = 2e-3 if data in POINTS else 5e-4
        flat = {"schedule": "constant"}
        yield Case(data, "lr-30", 0, {"lr": 30 * lr}, flat, names=UNSTABLE)
        yield Case(
            data,
            "clip-1e-4",
            0,
            {"name": "wgan", "clip": 1e-4, "lr": lr},
            names=("vanishing gradient", "critic uses little slope", "rank collapse"),
        )
        yield Case(data, "no-norm-huge-lr", 0, {"name": "vanilla", "lr": 0.5}, flat, names=UNSTABLE)
        long = {"steps": 1500} if data in POINTS else {}
        yield Case(data, "small-generator", 0, {}, long, operation=small_generator, names=BEHIND)
        yield Case(
            data,
            "frozen-critic",
            0,
            operation=frozen_critic,
            names=("critic left behind", "collapse", "oscillation"),
        )
        yield Case(
            data,
            "beta1-.99",
            0,
            {"betas": (0.99, 0.999)},
            flat,
            names=("oscillation", "collapse", "exploding gradient"),
        )
    for data in POINTS:
        yield Case(
            data,
            "lr-30",
            1,
            {"name": "wgan-gp", "lr": 3e-2, "n_critic": 2},
            {"schedule": "constant"},
            names=UNSTABLE,
        )
    for data in IMAGES:
        yield Case(data, "lr-30", 1, {"name": "r1", "lr": 30 * 5e-4}, names=UNSTABLE)


def _ill_points() -> Iterator[Case]:
    for data in POINTS:
        yield Case(
            data,
            "minimax-collapse",
            0,
            {"name": "vanilla", "loss": "minimax", "lr": 2e-3, "n_critic": 5},
            names=("collapse", "vanishing gradient", "generator left behind"),
        )
        yield Case(
            data,
            "n-critic-20",
            0,
            {"name": "vanilla", "lr": 1e-3, "n_critic": 20},
            {"steps": 200, "log_every": 10},
            names=BEHIND,
        )
        yield Case(data, "tight", 0, {"coefficient": 0.5}, names=("critic uses little slope",))
        yield Case(
            data,
            "batch-2",
            0,
            {},
            {"batch_size": 2},
            names=("collapse", "oscillation", "exploding gradient", "critic left behind"),
        )
    yield Case(
        "ring8",
        "vanilla-collapse",
        0,
        {"name": "vanilla", "lr": 5e-3, "betas": (0.9, 0.999)},
        names=("collapse", "oscillation"),
    )
    yield Case(
        "ring8",
        "vanilla-collapse",
        1,
        {"name": "vanilla", "lr": 5e-3, "betas": (0.9, 0.999)},
        names=("collapse", "oscillation"),
    )


def _ill_images() -> Iterator[Case]:
    few = ("critic overfitting", "generator copies")
    for data in IMAGES:
        long = {"steps": 1000 if data == "digits" else 500}
        for seed in (0, 1):
            yield Case(
                data, "40-images", seed, {"name": "vanilla", "lr": 1e-3}, long, images=40, names=few
            )
        yield Case(
            data, "40-images-sn", 0, {"lr": 1e-3, "coefficient": 2.0}, long, images=40, names=few
        )
        yield Case(
            data,
            "n-critic-20",
            0,
            {"name": "vanilla", "n_critic": 20},
            {"steps": 80, "log_every": 10},
            names=BEHIND,
        )
        yield Case(
            data,
            "batch-2",
            0,
            {"name": "vanilla"},
            {"batch_size": 2},
            names=("collapse", "oscillation", "exploding gradient", "critic left behind"),
        )
