"""Settings of a run: frozen dataclasses with the same fields as the YAML and the flags."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from sngan import augment as augmentations
from sngan.data.images.transparency import rgb
from sngan.data.types import READING
from sngan.methods import Method, named
from sngan.models import MODELS
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
        "differentiable augmentation of real and generated images, for small data sets: any of "
        "color, translation, cutout, joined by commas; none: without",
    )
    dequantize: bool = option(True, "add uniform noise of one grey level, as in Miyato et al.")
    cache: Literal["auto", "device", "memory", "disk", "stream"] = option(
        "auto",
        "where the decoded images stay: on the training device, in memory, in a disk file; stream: "
        "nowhere, each batch of shards or Parquet is decoded in training, for data larger than "
        "memory; auto: stream for shards, disk for 10,000 images and more, device if they fit",
    )
    workers: int | None = option(None, "number of decoding threads; left out: one for each core")
    # a resumed run keeps the version of the rules by which it first read its files
    reading: int = filled_in(READING)

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", _path(self.source, "data.source"))
        if self.resolution is not None:
            require_count(self.resolution, "data.resolution", minimum=4)
        require(
            self.channels in (None, 1, 3), "data.channels", expected="1 or 3", got=self.channels
        )
        none_for_off(self, "augment")
        augmentations.names_in(self.augment or "")
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


@dataclass(frozen=True)
class ModelConfig:
    """The two networks."""

    name: str = option("auto", "mlp (points), cnn or resnet (images); auto: mlp or cnn")
    width: float = option(by_family(1.0, points=0.5), "factor on all channel counts")
    latent_dim: int = option(by_family(128, points=2), "dimension of the generator's noise")
    conditional: bool = option(False, "generate and score by class; the data needs labels")
    attention: int | None = option(
        None, "self-attention on feature maps with this side in pixels, resnet only; 0: none"
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
        if self.attention is not None:
            require_count(self.attention, "model.attention", minimum=0)
        # YAML has lists for tuples, and numbers for names that look like numbers
        object.__setattr__(self, "class_names", tuple(map(str, self.class_names)))
        object.__setattr__(self, "empty_classes", tuple(self.empty_classes))
        for index in self.empty_classes:
            require_index(index, "model.empty_classes", count=self.num_classes)
        some = not self.class_names or bool(self.learned_classes)
        require(some, "model.empty_classes", expected="some class with samples", got="none")

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
class PerformanceConfig:
    """The devices, and the precision of the arithmetic."""

    device: Literal["auto", "cpu", "cuda", "mps"] = option("auto", "auto: a GPU if there is one")
    precision: Literal["auto", "32-true", "bf16-mixed"] = option(
        "auto",
        "32-true: float32; bf16-mixed: bfloat16 autocast, float32 weights and power iteration; "
        "auto: bf16-mixed for images on a CUDA GPU that has it, else 32-true",
    )
    devices: int = option(1, "processes on each node; each has its own GPU, or runs on the CPU")
    nodes: int = option(1, "number of machines; all must see the same files")
    strategy: Literal["auto", "ddp", "fsdp"] = option(
        "auto",
        "ddp: replicas that share each batch; fsdp: the weights are sharded as well (FSDP2), for "
        "networks that one device cannot hold; auto: ddp with more than one process",
    )
    compile: Literal["auto", "on", "off"] = option(
        "auto", "compile both networks' forward with torch.compile; auto: on a CUDA GPU"
    )
    cuda_graphs: Literal["auto", "on", "off"] = option(
        "auto", "replay each step as one CUDA graph; auto: on a CUDA GPU, in one process"
    )

    def __post_init__(self) -> None:
        require_choices(self, prefix="performance.")
        require_count(self.devices, "performance.devices")
        require_count(self.nodes, "performance.nodes")

    @property
    def processes(self) -> int:
        """The number of processes of a run, over all nodes."""
        return self.devices * self.nodes

    @property
    def has_process_group(self) -> bool:
        """Whether a run forms a process group, even one of a single process."""
        return self.processes > 1 or self.strategy != "auto"

    @property
    def is_sharded(self) -> bool:
        """Whether each process holds only a part of the weights."""
        return self.strategy == "fsdp"


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
    schedule: Literal["constant", "linear"] = option(
        by_family("constant", points="linear"),
        "learning rate; linear: to zero at the last step, as in Miyato et al.",
    )
    ema_decay: float = option(0.999, "decay of the generator's moving average, which is sampled")
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
        require_choices(self)
        require_number(self.ema_decay, "ema_decay", minimum=0.0, maximum=1.0)
        object.__setattr__(self, "out", _path(self.out, "out"))
        if not self.out:
            stem = re.sub(r"[^\w.-]+", "-", Path(self.data.source).stem).strip("-") or "data"
            object.__setattr__(self, "out", f"runs/{stem}-{self.method.name}")

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
