"""Recognizes a SOURCE and opens it."""

import difflib
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from sngan.data.cache import ImageCache, cached, default_folder, key
from sngan.data.dataset import Dataset
from sngan.data.errors import reason
from sngan.data.images.decoding import decode_all
from sngan.data.images.formats import suffix
from sngan.data.images.image_spec import rgb
from sngan.data.labels.classes import all_labelled, classes_in_use
from sngan.data.labels.folder_layout import require_first
from sngan.data.sources import stacked_digits as stacked
from sngan.data.sources import toy
from sngan.data.sources.arrays import open_arrays, to_dataset
from sngan.data.sources.chunked import Chunked
from sngan.data.sources.folder import open_folder
from sngan.data.sources.hub import open_hub
from sngan.data.sources.idx import find_idx, open_idx
from sngan.data.sources.parquet import find_tables, open_parquet, open_parquet_in_chunks
from sngan.data.sources.shards import PREFIX, open_shards
from sngan.data.sources.zip_archive import open_zip
from sngan.data.types import (
    READING,
    Arrays,
    Decoded,
    Encoded,
    Form,
    Progress,
    Reading,
    Stream,
)  # fmt: skip
from sngan.utils.checks import require, require_count, require_one_of
from sngan.utils.text import printable

CACHES = ("auto", "device", "memory", "disk", "stream")
# of a stream, for what is measured
_REPRESENTATIVE = 10_000
_NAMES = (*toy.NAMES, stacked.NAME)
_EMBEDDED = {"digits": toy.digits, stacked.NAME: stacked.stacked_digits}
_ACCEPTED = (
    f"{', '.join(_NAMES)}, a folder or zip of images, a Parquet file or folder, "
    "shards:PATTERN (tar files), a folder of IDX files, .npz, .npy, or hf:NAME[:SPLIT]"
)


def open_source(
    source: str | os.PathLike[str],
    *,
    resolution: int | None = None,
    channels: int | None = None,
    split: str = "train",
    labels: str = "auto",
    background: str = "white",
    cache: str = "auto",
    workers: int | None = None,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    reading: int = READING,
) -> Dataset:
    """Open a SOURCE and decode its images to one uint8 tensor, or some of a stream's.

    Parameters
    ----------
    source
        ``digits``, ``stacked-digits``, ``ring8``, ``grid25``, ``swissroll``, a folder or zip of
        images (class folders give labels), a Parquet file or folder, ``shards:PATTERN`` (tar files
        in WebDataset's layout), a folder of IDX files, ``.npz``/``.npy``, or ``hf:NAME[:SPLIT]``.
    resolution
        Side in pixels: the shorter side is resized to it, antialiased, and the centre cut. Left
        out, the median of the shorter sides of some images as a multiple of 4, at least 8, or 64
        if it is over 128.
    channels
        1 or 3; left out, those of the images, which must then agree.
    split
        Of a source that has splits: folders, files or arrays named ``train``, ``val``, ``test``.
    labels
        ``auto``, ``none``, ``folders`` (each is a class), a CSV or JSON file of labels for a folder
        or zip of images, or the name of a column for Parquet.
    background
        The colour that is seen where an image is transparent: a name or ``#rrggbb``.
    cache
        ``disk`` keeps the decoded images in a file under ``cache_dir`` that the next start maps;
        ``memory`` and ``device`` do not; ``auto`` does from 10,000 images on, or if they need over
        a quarter of the memory. ``stream``, of Parquet and shards (where ``auto`` means it), reads
        and decodes in training: ``samples`` are then 10,000 at equal distances.
    workers
        Decoding threads; left out, one a core.
    cache_dir
        Left out, ``$XDG_CACHE_HOME/sngan`` or ``~/.cache/sngan``.
    progress
        Called with (images done, all images).
    reading
        1 reads pixels, labels and layouts as the first version did; left out, as this one does.

    Raises
    ------
    ValueError
        Nothing that is accepted, nothing readable in it, or a setting that does not fit.
    """
    source = os.fspath(source)
    require_one_of(cache, "data.cache", choices=CACHES)
    require(channels in (None, 1, 3), "data.channels", expected="1 or 3", got=channels)
    if resolution is not None:
        require_count(resolution, "data.resolution", minimum=4)
    rgb(background)
    how = Reading(split, labels, background, reading)
    folder = cache_dir or default_folder()
    try:
        if source.startswith(PREFIX) or cache == "stream":
            opened = _open_in_chunks(source, how, cache_dir=folder, progress=progress)
        else:
            opened = _open(source, how)
    except OSError as error:
        got = f"{printable(source)} ({reason(error)})"
        raise ValueError(f"data: expected files that can be read, got {got}") from error
    if isinstance(opened, Dataset):
        return replace(opened, labels=None, class_names=()) if labels == "none" else opened
    if isinstance(opened, Arrays):
        if labels == "none":
            opened = opened._replace(labels=None, class_names=())
        arrays = to_dataset(source, opened, side=resolution, channels=channels)
        return classes_in_use(replace(arrays, cache=cache), how)

    stream = opened if isinstance(opened, Chunked) and cache in ("auto", "stream") else None
    most = None if stream is None else _REPRESENTATIVE
    encoded = opened.encoded(most=most) if isinstance(opened, Chunked) else opened
    decoded = cached(
        cache=cache if stream is None else "auto",
        store=ImageCache(folder, _key(source, encoded.stamp, most, how, resolution, channels)),
        decode=partial(
            decode_all,
            encoded,
            side=resolution,
            channels=channels,
            reading=how,
            workers=workers,
            progress=progress,
        ),
    )
    dataset = Dataset(
        source,
        torch.from_numpy(decoded.images),
        torch.tensor(decoded.labels) if max(decoded.labels) >= 0 else None,
        encoded.class_names,
        tuple(decoded.skipped),
        cache,
        content=encoded.content,
    )
    dataset = all_labelled(dataset, how)
    if stream is not None:
        dataset = _streamed(dataset, stream, decoded, how, workers)
    return classes_in_use(dataset, how)


def _key(
    source: str,
    stamp: str,
    most: int | None,
    reading: Reading,
    resolution: int | None,
    channels: int | None,
) -> str:
    parts = (stamp, Path(source).absolute(), most, reading.split, resolution, channels, "bicubic")
    if reading.is_first:
        return key(*parts)
    return key(*parts, reading.version, reading.labels, *rgb(reading.background))


def _streamed(
    dataset: Dataset, source: Chunked, decoded: Decoded, reading: Reading, workers: int | None
) -> Dataset:
    """Let training draw from all of a source, some of which the data set holds."""
    channels, side, _ = dataset.sample_shape
    counts = None if source.class_counts is None else torch.from_numpy(source.class_counts)
    names = source.class_names
    if counts is not None and len(names) < len(counts):
        names = tuple(map(str, range(len(counts))))
    behind = None if reading.is_first else rgb(reading.background)
    form = Form(side, channels, behind, decoded.levels)
    unreadable = 0 if reading.is_first else len(dataset.skipped)
    return replace(
        dataset,
        labels=None if counts is None else dataset.labels,
        class_names=names,
        stream=Stream(source.chunks, form, counts, workers, unreadable),
    )


def _open_in_chunks(
    source: str, reading: Reading, *, cache_dir: Path, progress: Progress | None
) -> Chunked:
    if source.startswith(PREFIX):
        pattern = source.removeprefix(PREFIX)
        return open_shards(pattern, reading, cache_dir=cache_dir, progress=progress)
    path = _path(source)
    is_parquet = path is not None and bool(find_tables(path, reading))
    expected = "stream only for shards:PATTERN and Parquet"
    require(is_parquet, "data.cache", expected=expected, got=f"it for {printable(source)}")
    assert path is not None
    return open_parquet_in_chunks(path, reading)


def _open(source: str, reading: Reading) -> Encoded | Arrays | Dataset:
    if source in _NAMES:
        _require_plain(source, reading)
        return _EMBEDDED[source]() if source in _EMBEDDED else toy.points(source)
    if source.startswith("hf:"):
        _require_no_file(source, reading)
        return open_hub(source.removeprefix("hf:"), reading)
    path = _path(source)
    if path is None:
        near = difflib.get_close_matches(source, _NAMES, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ", no such file or folder"
        raise ValueError(f"data: expected {_ACCEPTED}; got {printable(source)!r}{hint}")
    if find_tables(path, reading):
        return open_parquet(path, reading)
    if path.is_dir() and not find_idx(path):
        return open_folder(path, reading)
    kind = suffix(path.name)
    if kind == "zip":
        return open_zip(path, reading)
    if kind in ("npz", "npy"):
        return open_arrays(path, reading)
    _require_no_file(source, reading)
    require(path.is_dir(), "data", expected=_ACCEPTED, got=f"the file {printable(source)}")
    return open_idx(path, split=reading.split)


def _path(source: str) -> Path | None:
    """The file or folder that is named; ``None`` where there is none."""
    try:
        path = Path(source).expanduser()
        return path if source.strip() and path.exists() else None
    except (OSError, ValueError, RuntimeError) as error:
        # too long, a null byte, a person without a home
        got = f"{printable(source)[:100]!r} ({reason(error)})"
        raise ValueError(f"data: expected {_ACCEPTED}; got {got}") from error


def _require_plain(source: str, reading: Reading) -> None:
    """Data that sngan makes has no splits and no files of labels."""
    if not reading.is_first:
        require_first(reading.split, source)
    _require_no_file(source, reading)


def _require_no_file(source: str, reading: Reading) -> None:
    expected = f"auto or none for {printable(source)}"
    fits = reading.labels in ("auto", "none")
    require(fits, "data.labels", expected=expected, got=repr(reading.labels))
