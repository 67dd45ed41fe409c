"""Settings of a run: frozen dataclasses with the same fields as the YAML and the flags."""

import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from sngan.config.augmentation import parse_augment
from sngan.config.performance import PerformanceConfig
from sngan.data.images.transparency import rgb
from sngan.data.types import READING
from sngan.methods import Method, Schedule, named, require_scheduled
from sngan.models import MODELS
from sngan.models.packing import require_divided, require_groups
from sngan.utils.checks import require, require_count, require_index, require_number, require_one_of
from sngan.utils.families import by_family, of_family
from sngan.utils.fields import filled_in, none_for_off, option, require_choices
from sngan.utils.files import expand_home


def _path(value: str, name: str) -> str:
    """Check that a path is text, and replace ``~`` by the home folder."""
    require(isinstance(value, str), name, expected="text", got=repr(value))
    return expand_home(value)


@dataclass(frozen=True)
class DataConfig:
    """The training data, and how its images are read and kept."""

    source: str = option(
        "digits",
        "digits, stacked-digits, ring8, grid25, swissroll, a folder or zip of images (class "
        "folders give labels), a Parquet file or folder, shards:PATTERN (tar files, such "
        "as shards:data/*.tar or shards:data/{000..099}.tar), a folder of IDX files, .npz/.npy, or "
        "hf:NAME[:SPLIT]",
    )
    split: str = option(
        "train", "split to read, if the data has folders, files or arrays named train, val, test"
    )
    labels: str = option(
        "auto",
        "auto; none; folders (each folder is a class); a CSV or JSON file of labels for a folder "
        "or zip of images; a column of Parquet or an array of .npz",
    )
    background: str = option("white", "colour behind transparent images: a name or #rrggbb")
    resolution: int | None = option(None, "image side in pixels; left out: that of the data")
    channels: int | None = option(None, "1 (grey) or 3 (colour); left out: those of the data")
    flip: bool = option(False, "flip each image left to right with probability 1/2")
    augment: str | None = option(
        None,
        "differentiable augmentation of real and generated images, for small data sets: ada "
        "(transformations that do not leak, with a probability p that adapts itself), p=NUMBER or "
        "p=A->B (the same with a fixed or scheduled p), or any of color, translation, cutout, "
        "joined by commas; none: without",
    )
    augment_target: float = option(
        0.6, "ada: mean sign of the critic's scores of real images at which p stays"
    )
    augment_images: int | None = option(
        None,
        "ada: real images in which p can go from 0 to 1; left out: a fifth of those of the run, "
        "at most 500,000",
    )
    dequantize: bool = option(True, "add uniform noise of one grey level, as in Miyato et al.")
    cache: Literal["auto", "device", "memory", "disk", "stream"] = option(
        "auto",
        "where the decoded images stay: on the training device, in memory, in a disk file; stream: "
        "nowhere, each batch of shards or Parquet is decoded in training, for data larger than "
        "memory; auto: stream for shards, disk for 10,000 images and more, device if they fit",
    )
    workers: int | None = option(None, "number of decoding threads; left out: one for each core")
    held_out: float | None = option(
        0.05,
        "images kept from training, by which the run's health is checked: a fraction (at least "
        "100 images, none of fewer than 400), or a count; 0: none; points and streams keep none",
    )
    # a resumed run keeps the version of the rules by which it first read its files
    reading: int = filled_in(READING)

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", _path(self.source, "data.source"))
        if self.resolution is not None:
            require_count(self.resolution, "data.resolution", minimum=4)
        require(
            self.channels in (None, 1, 3), "data.channels", expected="1 or 3", got=self.channels
        )
        none_for_off(self, "augment", "held_out")
        parse_augment(self.augment)
        require_number(self.augment_target, "data.augment_target", above=0.0, maximum=1.0)
        if self.augment_images is not None:
            require_count(self.augment_images, "data.augment_images")
        if self.held_out is not None:
            require_number(self.held_out, "data.held_out", above=0.0)
            is_whole = self.held_out < 1 or float(self.held_out).is_integer()
            expected = "a fraction below 1, or a whole number of images"
            require(is_whole, "data.held_out", expected=expected, got=self.held_out)
        require_choices(self, prefix="data.")
        if self.workers is not None:
            require_count(self.workers, "data.workers")
        rgb(self.background)
        for key in ("split", "labels"):
            value = getattr(self, key)
            is_name = isinstance(value, str) and bool(value)
            require(is_name, f"data.{key}", expected="text", got=repr(value))
        require_count(self.reading, "data.reading")
        known = f"at most {READING}, the versions of file reading that this sngan knows"
        require(self.reading <= READING, "data.reading", expected=known, got=self.reading)


_Init = Literal["auto", "default", "orthogonal"]


@dataclass(frozen=True)
class ModelConfig:
    """The two networks."""

    name: str = option(
        "auto",
        "mlp (points); cnn, resnet or convnext (images); auto: mlp, or for images the family of "
        "the method: convnext with r3gan, resnet with sagan and biggan, cnn with the others",
    )
    width: float = option(by_family(1.0, points=0.5), "factor on all channel counts")
    latent_dim: int = option(by_family(128, points=2), "dimension of the generator's noise")
    conditional: bool = option(False, "generate and score by class; the data needs labels")
    attention: int | Literal["auto", "none"] | None = option(
        "auto",
        "self-attention on feature maps with this side in pixels, resnet only; 0: none; auto: with "
        "sagan and biggan at a quarter of the image's side, else none",
    )
    init: _Init = option(
        "auto",
        "initial weights; default: those of the family's paper; orthogonal: all singular values "
        "are 1 (Saxe et al. 2014); auto: orthogonal with biggan, else default",
    )
    pack: int = option(
        1,
        "samples that the critic scores as one, joined along the channels (PacGAN, 2 to 4): packs "
        "of generated samples that are too much alike stand out; 1: each sample by itself",
    )
    minibatch_std: int | Literal["none"] | None = option(
        None,
        "image critics get the standard deviation in groups of this many samples as a further map "
        "(StyleGAN2: 4), against mode collapse; a penalty acts on a group's summed scores; 0: none",
    )
    sample_shape: tuple[int, ...] | None = filled_in(None)
    # points are converted to mean 0 and standard deviation 1; runs of earlier versions did not
    standardize: bool = filled_in(False)
    class_names: tuple[str, ...] = filled_in(())
    # classes without a sample in the data
    empty_classes: tuple[int, ...] = filled_in(())

    def __post_init__(self) -> None:
        require_one_of(self.name, "model", choices=["auto", *MODELS])
        require_number(self.width, "model.width", above=0.0)
        require_count(self.latent_dim, "model.latent_dim")
        if self.sample_shape is not None:
            object.__setattr__(self, "sample_shape", tuple(self.sample_shape))
        none_for_off(self, "attention")
        if self.attention != "auto" and self.attention is not None:
            require_count(self.attention, "model.attention", minimum=0)  # pyright: ignore[reportArgumentType]
        require_one_of(self.init, "model.init", choices=get_args(_Init))
        none_for_off(self, "minibatch_std")
        require_groups(self.pack, self.group_size, conditional=self.conditional)
        # YAML has lists for tuples, and numbers for names that look like numbers
        object.__setattr__(self, "class_names", tuple(map(str, self.class_names)))
        object.__setattr__(self, "empty_classes", tuple(self.empty_classes))
        for index in self.empty_classes:
            require_index(index, "model.empty_classes", count=self.num_classes)
        some = not self.class_names or bool(self.learned_classes)
        require(some, "model.empty_classes", expected="some class with samples", got="none")

    @property
    def group_size(self) -> int | None:
        """The group size of the minibatch standard deviation; None if it is off."""
        return None if self.minibatch_std == "none" else self.minibatch_std

    @property
    def num_classes(self) -> int:
        """The number of classes of a conditional model, 0 for other models."""
        return len(self.class_names)

    @property
    def learned_classes(self) -> tuple[int, ...]:
        """The classes with samples in the data; all classes in runs that recorded no empty ones."""
        empty = set(self.empty_classes)
        return tuple(index for index in range(self.num_classes) if index not in empty)


@dataclass(frozen=True)
class EvaluationConfig:
    """How samples are measured by ``sngan evaluate``, and during training."""

    every: int | None = option(None, "steps between two evaluations in training; 0: none")
    samples: int = option(
        by_family(1000, points=2500), "generated samples, and at most as many real ones, to compare"
    )
    extractor: Literal["auto", "points", "pixels", "domain", "inception"] = option(
        "auto",
        "features of images; auto: domain (a classifier trained on this data) if the data has "
        "labels, else pixels; points are compared as they are",
    )
    weights: str | None = option(None, "file of InceptionV3 weights; left out: downloaded once")
    best: str = option(
        "auto", "metric that decides which checkpoint is kept as best.pt; auto: frechet or w1"
    )

    def __post_init__(self) -> None:
        if self.weights is not None:
            object.__setattr__(self, "weights", _path(self.weights, "evaluation.weights"))
        none_for_off(self, "every")
        if self.every is not None:
            require_count(self.every, "evaluation.every", minimum=0)
        require_count(self.samples, "evaluation.samples", minimum=2)
        require_choices(self, prefix="evaluation.")


@dataclass(frozen=True)
class Config:
    """All settings of one run. ``data``, ``model`` and ``method`` may also be a name.

    Examples
    --------
    >>> Config(data="digits", method="sn", steps=100).method.n_critic
    5
    """

    data: DataConfig = DataConfig()
    out: str = option("", "the run's folder; left out: runs/SOURCE-METHOD")
    method: Method = field(default_factory=lambda: named("sn"))
    model: ModelConfig = ModelConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    performance: PerformanceConfig = PerformanceConfig()
    steps: int = option(by_family(10_000, points=18_000), "generator steps")
    seed: int = option(0, "seed of all random numbers of the run")
    batch_size: int = option(
        by_family(64, points=256), "real samples, and as many fakes, in each step, over all devices"
    )
    schedule: Literal["constant", "linear", "cosine"] = option(
        by_family("constant", points="linear"),
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
    log_every: int = option(by_family(50, points=100), "steps between two records in metrics.jsonl")
    sample_every: int = option(
        by_family(500, points=2000), "steps between two pictures from the same noise"
    )
    save_every: int = option(by_family(500, points=2000), "steps between two checkpoints")
    keep_every: int | None = option(
        None, "steps between two checkpoints that are never deleted; 0: none"
    )

    def __post_init__(self) -> None:
        for key, from_name in _GROUPS.items():
            value = getattr(self, key)
            if isinstance(value, str):
                object.__setattr__(self, key, from_name(value))
        for key in ("steps", "batch_size", "log_every", "sample_every", "save_every"):
            require_count(getattr(self, key), key)
        for key in ("seed", "ema_start"):
            require_count(getattr(self, key), key, minimum=0)
        none_for_off(self, "keep_every")
        if self.keep_every is not None:
            require_count(self.keep_every, "keep_every", minimum=0)
        processes = self.performance.processes
        require(
            self.batch_size % processes == 0,
            "batch_size",
            expected=f"a multiple of the {processes} devices over all nodes",
            got=self.batch_size,
        )
        parts = self.performance.accumulate
        require(
            self.batch_size // processes % parts == 0,
            "performance.accumulate",
            expected=f"a divisor of the {self.batch_size // processes} samples of each device",
            got=parts,
        )
        rows, model = self.batch_size // processes // parts, self.model
        require_divided(rows, pack=model.pack, minibatch_std=model.group_size)
        require_choices(self)
        self._check_average()
        object.__setattr__(self, "out", _path(self.out, "out"))
        if not self.out:
            stem = re.sub(r"[^\w.-]+", "-", Path(self.data.source).stem).strip("-") or "data"
            object.__setattr__(self, "out", f"runs/{stem}-{self.method.name}")

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


def _data_named(source: str) -> DataConfig:
    return DataConfig(source=source)


def _model_named(name: str) -> ModelConfig:
    return ModelConfig(name=name)


_GROUPS = {"data": _data_named, "model": _model_named, "method": named}
