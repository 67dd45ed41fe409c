"""Runs of the benchmark of `sngan doctor`: healthy ones, and ones made ill on purpose.

Each kind of run has four seeds, two for each half. A healthy run has the defaults of its method and
data, with fewer steps and, for images, smaller networks. An ill run differs from it in one thing.
"""

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from sngan import Config
from sngan.config import DataConfig, EvaluationConfig, ModelConfig, PerformanceConfig
from sngan.engine import build, loop
from sngan.methods import named

POINTS = ("ring8", "grid25")
IMAGES = ("digits", "cifar16")
SEEDS = (0, 1, 2, 3)
FIRST_REPORTED = 2
"""Rules may be set on the seeds before this one only."""

CIFAR = "test-00000-of-00001.parquet"
_WIDTH = {"digits": 0.25, "cifar16": 0.125}
_STEPS = {"ring8": 500, "grid25": 700, "swissroll": 500, "digits": 500, "cifar16": 300}
# a run of few images takes so many times the steps, so that its critic learns them by heart
_LONG = 3
# on these data, whose runs take longest, some kinds are run
_KINDS = {
    "grid25": ("lr-30", "frozen-critic", "clip-1e-4", "minimax", "small-generator", "batch-2"),
    "swissroll": (),
    "cifar16": ("lr-30", "no-norm-huge-lr", "clip-1e-4", "frozen-critic", "40-images"),
}
# the step after which a frozen critic no longer learns, as a part of the run
_FROZEN_AT = 0.3
_SMALL = 0.1
_HEALTHY = "healthy"


@dataclass(frozen=True)
class Case:
    """One run: its settings, an operation on the training, and the findings that name its illness.

    A healthy run has no names; a doctor that gives one of the names is right about an ill run. The
    quality of a run of ``few`` images is not measured: its illness is that it learns them by heart.
    """

    data: str
    kind: str
    seed: int
    method: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    operation: Callable[[Config], AbstractContextManager[None]] = lambda _: nullcontext()
    few: int | None = None
    names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the run, and of its file of records."""
        return f"{self.data}-{self.kind}-{self.seed}"

    @property
    def healthy(self) -> str:
        """The name of the healthy run with whose quality this one is compared."""
        return f"{self.data}-{_HEALTHY}-sn-{self.seed}"

    @property
    def is_reported(self) -> bool:
        """Whether the run is in the reported half, whose runs no rule has seen."""
        return self.seed >= FIRST_REPORTED

    def config(self, work: Path, cifar: Path | None) -> Config:
        """Return the settings of the run; its data and its folder lie below ``work``."""
        is_points, steps = self.data not in IMAGES, _STEPS[self.data]
        fields: dict[str, Any] = {
            "steps": steps,
            "log_every": 50,
            "sample_every": 10**6 if is_points else 100,
            "save_every": 10**6,
            "model": ModelConfig() if is_points else ModelConfig(width=_WIDTH[self.data]),
            **({} if is_points else {"batch_size": 32}),
            **self.settings,
        }
        defaults = {} if is_points else {"lr": 5e-4, "n_critic": 1}
        measured = EvaluationConfig(
            every=0 if self.few else fields["steps"], samples=500 if is_points else 1000
        )
        return Config(
            data=self._data(work, cifar),
            method=named(**{"name": "sn", **defaults, **self.method}),
            evaluation=measured,
            seed=self.seed,
            out=str(work / self.name),
            **fields,
        )

    def _data(self, work: Path, cifar: Path | None) -> DataConfig:
        source, side = self.data, None
        if self.data == "cifar16":
            assert cifar is not None
            source, side = str(cifar / CIFAR), 16
        if self.few is None:
            return DataConfig(source=source, resolution=side)
        # of these images, a third is kept from training
        path = work / f"{self.data}-{self.few}.npz"
        _write_some(DataConfig(source=source, resolution=side), path, self.few * 3 // 2)
        return DataConfig(source=str(path), held_out=self.few // 2)


def _write_some(settings: DataConfig, path: Path, count: int) -> None:
    from sngan.data import open_source

    if not path.exists():
        dataset = open_source(settings.source, resolution=settings.resolution)
        images = dataset.samples[:: len(dataset) // count][:count]
        np.savez(path, images=images.permute(0, 2, 3, 1).numpy())


@contextmanager
def small_generator(config: Config) -> Generator[None]:
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
def frozen_critic(config: Config) -> Generator[None]:
    """Stop the critic's learning after the first part of the run.

    The run must call each step: the repetition of a recorded step would not see the change.
    """
    assert config.performance.replay == "off"
    step = loop.train_step

    def train_step(settings: Config, state: Any) -> Any:
        if state.step >= _FROZEN_AT * settings.steps:
            state.critic_optimizer.step = lambda *_: None
        return step(settings, state)

    with mock.patch.object(loop, "train_step", train_step):
        yield


SETTING = "unusual setting"
UNSTABLE = ("exploding gradient", "collapse", "oscillation", "vanishing gradient", "rank collapse")
BALANCE = ("generator left behind", "critic left behind")
BEHIND = ("generator left behind", "collapse", "vanishing gradient")
_ADAM = {"betas": (0.99, 0.999)}
_FLAT = {"schedule": "constant"}
_SHORT = {"log_every": 10}


def cases() -> list[Case]:
    """Return all runs, the cheapest data first, the seeds of a kind one after the other."""
    found: list[Case] = []
    for group in (("ring8", "digits"), ("cifar16", "grid25", "swissroll")):
        kinds = [one for data in group for one in (*_healthy(data), *_ill(data))]
        kinds = [
            one for one in kinds if not one.names or one.kind in _KINDS.get(one.data, one.kind)
        ]
        # healthy and ill runs take turns, so that a part of the runs has both
        kinds.sort(key=lambda one: hashlib.sha256(one.name.encode()).digest())
        kinds.sort(key=lambda one: one.name != one.healthy)
        found += [replace(kind, seed=seed) for kind in kinds for seed in SEEDS]
    return found


def _healthy(data: str) -> Iterator[Case]:
    def healthy(method: str, **settings: Any) -> Case:
        return Case(data, f"{_HEALTHY}-{method}", 0, {"name": method, **settings})

    yield healthy("sn")
    if data == "swissroll":
        return
    if data in POINTS:
        yield from (healthy(method) for method in ("vanilla", "wgan-gp", "r1"))
    else:
        yield from (healthy(method, lr=5e-4, n_critic=1) for method in ("wgan-gp", "r1"))
    if data == "ring8":
        yield from (healthy(method) for method in ("wn", "orthonormal", "sn-gp"))
        yield Case(data, f"{_HEALTHY}-sn-constant", 0, {"lr": 1e-3}, _FLAT)
    if data == "digits":
        yield Case(data, f"{_HEALTHY}-sn-slow", 0, {"lr": 2e-4, "n_critic": 2})
        yield from (healthy(method, lr=5e-4) for method in ("ln", "orthonormal"))


def _ill(data: str) -> Iterator[Case]:
    is_points = data in POINTS
    lr = 2e-3 if is_points else 5e-4
    yield Case(data, "lr-30", 0, {"lr": 30 * lr}, _FLAT, names=(*UNSTABLE, SETTING))
    yield Case(
        data,
        "no-norm-huge-lr",
        0,
        {"name": "vanilla", "lr": 0.5},
        _FLAT,
        names=(*UNSTABLE, *BALANCE, SETTING),
    )
    yield Case(data, "small-generator", 0, operation=small_generator, names=BEHIND)
    named_clip = ("vanishing gradient", "critic uses little slope", "rank collapse", SETTING)
    yield Case(data, "clip-1e-4", 0, {"name": "wgan", "clip": 1e-4}, names=named_clip)
    yield Case(
        data,
        "frozen-critic",
        0,
        settings={"performance": PerformanceConfig(replay="off")},
        operation=frozen_critic,
        names=("critic left behind", "collapse", "oscillation"),
    )
    named_momentum = ("oscillation", "collapse", "exploding gradient", SETTING)
    yield Case(data, "beta1-.99", 0, _ADAM, _FLAT, names=named_momentum)
    named_batch = (*UNSTABLE[:3], *BALANCE, SETTING)
    vanilla = {} if is_points else {"name": "vanilla"}
    yield Case(data, "batch-2", 0, vanilla, {"batch_size": 2}, names=named_batch)
    many = {"name": "vanilla", "n_critic": 20}
    few = {"steps": _STEPS[data] // 8, **_SHORT}
    yield Case(data, "n-critic-20", 0, many, few, names=(*BEHIND, SETTING))
    yield from _ill_points(data) if is_points else _ill_images(data)


def _ill_points(data: str) -> Iterator[Case]:
    minimax = {"name": "vanilla", "loss": "minimax", "lr": 2e-3, "n_critic": 5}
    yield Case(data, "minimax", 0, minimax, names=BEHIND)
    yield Case(data, "tight", 0, {"coefficient": 0.25}, names=("critic uses little slope",))
    fast = {"name": "vanilla", "lr": 5e-3, "betas": (0.9, 0.999)}
    yield Case(data, "vanilla-collapse", 0, fast, names=("collapse", "oscillation"))


def _ill_images(data: str) -> Iterator[Case]:
    few, long = ("critic overfitting", "generator copies"), {"steps": _LONG * _STEPS[data]}
    for name, method in (("", {"name": "vanilla"}), ("-sn", {"coefficient": 2.0})):
        settings = {"lr": 1e-3, **method}
        yield Case(data, f"40-images{name}", 0, settings, long, few=40, names=few)
