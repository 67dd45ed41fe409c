"""Settings of a run: frozen dataclasses with the same fields as the YAML and the flags."""

import math
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from sngan.config.data import DataConfig
from sngan.config.evaluation import EvaluationConfig
from sngan.config.intervals import Interval, require_interval
from sngan.config.model import ModelConfig
from sngan.config.paths import require_path
from sngan.config.performance import PerformanceConfig
from sngan.config.short_names import accepts_short_names
from sngan.methods import Method, Schedule, named, require_scheduled
from sngan.models.packing import require_divided
from sngan.utils.checks import require, require_count, require_number
from sngan.utils.families import by_family, of_family, possible_values
from sngan.utils.fields import none_for_off, option, require_choices
from sngan.utils.text import as_file_name, counted


@accepts_short_names
@dataclass(frozen=True)
class Config:
    """All settings of one run. ``data``, ``model`` and ``method`` may also be a name.

    A setting inside a group may be given by its own name, as on the command line, if no other group
    has a setting of this name.

    Attributes
    ----------
    data, method, model, evaluation, performance
        The groups of settings: :class:`DataConfig`, :class:`sngan.methods.Method`,
        :class:`ModelConfig`, :class:`EvaluationConfig` and :class:`PerformanceConfig`.

    Raises
    ------
    ValueError
        If a name is unknown or stands in several groups, or a value is out of range.

    Examples
    --------
    >>> Config(data="digits", method="sn", steps=100).method.n_critic
    5
    >>> config = Config(method="wgan-gp", lr=1e-4, n_critic=1, resolution=32)
    >>> config.method.lr, config.method.penalty, config.data.resolution
    (0.0001, 'wgan-gp', 32)
    """

    data: DataConfig = DataConfig()
    out: str = option("", "the run's folder; left out: runs/SOURCE-METHOD")
    method: Method = field(default_factory=lambda: named("sn"))
    model: ModelConfig = ModelConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    performance: PerformanceConfig = PerformanceConfig()
    steps: int = option(by_family(10_000, points=18_000), "generator steps")
    hours: float | None = option(
        None,
        "instead of steps: a budget of time; some steps are timed before the run, which then ends, "
        "with its schedules, at the step that fits",
    )
    preset: Literal["auto", "none", "laptop", "gpu", "paper"] = option(
        "auto",
        "width, batch_size and steps where they are left out; laptop: 0.25, 32, 10,000 (an hour "
        "on two cores for images of 64 pixels); gpu: 1, 64, 50,000; paper: 1, 64, 100,000; auto: "
        "laptop on a CPU for images over 16 pixels if all three are left out",
    )
    init: str | None = option(
        None,
        "start from the weights of a run, hf:USER/NAME or a generator.safetensors: takes the "
        "layers that fit by name and shape, also from another resolution, and lists them (initial "
        "weights by a formula: --model.init)",
    )
    freeze_critic: int = option(
        0,
        "with --init: the first blocks of the critic, those of the finest maps, keep their weights "
        "(FreezeD, Mo et al. 2020)",
    )
    seed: int = option(0, "seed of all random numbers of the run")
    batch_size: int = option(
        by_family(64, points=256), "real samples, and as many fakes, in each step, over all devices"
    )
    schedule: Literal["constant", "linear", "cosine"] = option(
        by_family("constant", points="cosine"),
        "factor on learning rates that are numbers; linear: to zero at the last step, as in Miyato "
        "et al.; cosine: to zero along a cosine; a rate of A->B has its own course",
    )
    ema_decay: float | Schedule | None = option(
        None,
        "decay of the generator's moving average, which is sampled; A->B: over the run; left out: "
        "0.999, with biggan 0.9999; r3gan has a half-life",
    )
    ema_halflife: float | Schedule | None = option(
        None,
        "instead of ema_decay: the number of images after which a weight counts half in the "
        "average, for any batch size (decay = 0.5^(batch_size/halflife)); A->B: over the run",
    )
    ema_start: int = option(
        1000, "step at which the average starts; until then a copy of the generator"
    )
    log_every: Interval = option(
        by_family(50, points=100), "steps or time (30s, 5min) between two records in metrics.jsonl"
    )
    sample_every: Interval = option(
        by_family(500, points=2000), "steps or time between two pictures from the same noise"
    )
    save_every: Interval = option(
        by_family(500, points=2000), "steps or time between two checkpoints"
    )
    keep_every: int | None = option(
        None, "steps between two checkpoints that are never deleted; 0: none"
    )

    def __post_init__(self) -> None:
        for key, from_name in _GROUPS.items():
            value = getattr(self, key)
            if isinstance(value, str):
                object.__setattr__(self, key, from_name(value))
        for key, kind in _KINDS.items():
            value = getattr(self, key)
            require(isinstance(value, kind), key, expected=kind.__name__, got=repr(value))
        for key in ("steps", "batch_size"):
            require_count(getattr(self, key), key)
        for key in ("log_every", "sample_every", "save_every"):
            require_interval(getattr(self, key), key)
        for key in ("seed", "ema_start", "freeze_critic"):
            require_count(getattr(self, key), key, minimum=0)
        none_for_off(self, "keep_every", "hours", "init")
        if self.hours is not None:
            require_number(self.hours, "hours", above=0.0)
        if self.keep_every is not None:
            require_count(self.keep_every, "keep_every", minimum=0)
        self._check_batch()
        require_choices(self)
        self._check_average()
        object.__setattr__(self, "out", require_path(self.out, "out"))
        if not self.out:
            stem = as_file_name(Path(self.data.source).stem) or "data"
            object.__setattr__(self, "out", f"runs/{stem}-{as_file_name(self.method.name)}")

    def _check_batch(self) -> None:
        """Check that a size of batch can be divided as the settings say.

        A size that was left out depends on the model family. The family is not known yet, so it is
        enough that one size fits. The check comes again when the family is known.
        """
        *others, last = possible_values(self.batch_size)
        for size in others:
            with suppress(ValueError):
                return self._check_batch_of(size)
        return self._check_batch_of(last)

    def _check_batch_of(self, size: int) -> None:
        processes, parts = self.performance.processes, self.performance.accumulate
        expected = f"a multiple of the {processes} devices over all nodes"
        require(size % processes == 0, "batch_size", expected=expected, got=size)
        on_device = size // processes
        expected = f"a divisor of the {counted(on_device, 'sample')} of each device"
        require(on_device % parts == 0, "performance.accumulate", expected=expected, got=parts)
        model = self.model
        require_divided(on_device // parts, pack=model.pack, minibatch_std=model.group_size)

    def _check_average(self) -> None:
        none_for_off(self, "ema_halflife")
        both = self.ema_decay is not None and self.ema_halflife is not None
        expected = "none where ema_decay is given, which it replaces"
        require(not both, "ema_halflife", expected=expected, got=self.ema_halflife)
        for key, most in (("ema_decay", 1.0), ("ema_halflife", math.inf)):
            if (value := getattr(self, key)) is not None:
                parsed = require_scheduled(value, key, minimum=0.0, maximum=most)
                object.__setattr__(self, key, parsed)

    @cached_property
    def for_images(self) -> "Config":
        """These settings, with the defaults for images where the model family decides."""
        return of_family(self, "images")

    @cached_property
    def for_points(self) -> "Config":
        """These settings, with the defaults for points where the model family decides."""
        return of_family(self, "points")

    def of_family(self, *, is_images: bool) -> "Config":
        """Return these settings with the defaults of images or of points; equal calls share one."""
        return self.for_images if is_images else self.for_points


def _data_named(source: str) -> DataConfig:
    return DataConfig(source=source)


def _model_named(name: str) -> ModelConfig:
    return ModelConfig(name=name)


_GROUPS = {"data": _data_named, "model": _model_named, "method": named}
_KINDS = {
    "data": DataConfig,
    "model": ModelConfig,
    "method": Method,
    "evaluation": EvaluationConfig,
    "performance": PerformanceConfig,
}
