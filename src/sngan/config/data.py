"""Settings of the data."""

from dataclasses import dataclass
from typing import Literal

from sngan.config.augmentation import parse_augment
from sngan.config.paths import require_path
from sngan.data.images.placement import Fit, parse_resolution, resolution_setting
from sngan.data.images.transparency import rgb
from sngan.data.types import READING
from sngan.utils.checks import require, require_count, require_number
from sngan.utils.fields import filled_in, none_for_off, option, require_choices


@dataclass(frozen=True)
class DataConfig:
    """The training data, and how its images are read and kept.

    Raises
    ------
    ValueError
        If a value is out of range, or a word is none of the choices.

    Examples
    --------
    >>> from sngan.config import DataConfig
    >>> settings = DataConfig("ring8", resolution="32x32", augment="none")
    >>> settings.source, settings.resolution, settings.augment
    ('ring8', 32, None)
    """

    source: str = option(
        "digits",
        "digits, stacked-digits, ring8, grid25, swissroll, a folder or zip of images (class "
        "folders give labels), a Parquet file or folder, shards:PATTERN (tar files, such "
        "as shards:data/*.tar or shards:data/{000..099}.tar), a folder of IDX files, .npz/.npy, or "
        "hf:NAME[:SPLIT], or package.module:function for data of your own",
    )
    split: str = option(
        "train", "split to read, if the data has folders, files or arrays named train, val, test"
    )
    labels: str = option(
        "auto",
        "auto; none; folders (each folder is a class); a CSV or JSON file of labels for a folder "
        "or zip of images; a column of Parquet or an array of .npz",
    )
    background: str = option(
        "white", "colour behind transparent and around padded images: a name or #rrggbb"
    )
    resolution: int | str | None = option(
        None, "size in pixels: the side of squares, or HEIGHTxWIDTH; left out: that of the data"
    )
    channels: int | None = option(
        None, "1 (grey), 3 (colour) or 4 (colour and opacity); left out: 3 if any image is colour"
    )
    fit: Fit = option(
        "crop",
        "how images of another shape get that of the resolution: crop cuts out the centre, pad "
        "adds the background, stretch changes the shape",
    )
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
        object.__setattr__(self, "source", require_path(self.source, "data.source"))
        if self.resolution is not None:
            resolution = resolution_setting(parse_resolution(self.resolution))
            object.__setattr__(self, "resolution", resolution)
        known = self.channels in (None, 1, 3, 4)
        require(known, "data.channels", expected="1, 3 or 4", got=self.channels)
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
