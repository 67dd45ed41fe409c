"""Recognizes a SOURCE and opens it."""

import difflib
import math
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sngan._checks import require, require_count, require_one_of
from sngan.data import stacked, toy
from sngan.data.arrays import open_arrays, to_dataset
from sngan.data.cache import ImageCache, default_folder, key
from sngan.data.chunks import Chunked
from sngan.data.dataset import Dataset
from sngan.data.decoding import FIT, decode_all
from sngan.data.folder import open_folder, open_zip
from sngan.data.hub import open_hub
from sngan.data.idx import find_idx, open_idx
from sngan.data.parquet import open_parquet, open_parquet_in_chunks
from sngan.data.shards import PREFIX, open_shards
from sngan.data.types import Arrays, Decoded, Encoded, Form, Progress, Stream

CACHES = ("auto", "device", "memory", "disk", "stream")
# as many take seconds to decode
_WORTH_KEEPING = 10_000
# of a stream, for what is measured
_REPRESENTATIVE = 10_000
_NAMES = (*toy.NAMES, stacked.NAME)
_EMBEDDED = {"digits": toy.digits, stacked.NAME: stacked.stacked_digits}
_ACCEPTED = (
    f"{', '.join(_NAMES)}, a folder or zip of images, a Parquet file or folder, "
    "shards:PATTERN (tar files), a folder of IDX files, .npz, .npy, or hf:NAME[:SPLIT]"
)


def open_source(
    source: str,
    *,
    resolution: int | None = None,
    channels: int | None = None,
    split: str = "train",
    cache: str = "auto",
    workers: int | None = None,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
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
        out, the shorter side of the first image as a multiple of 4, or 64 if it is over 128.
    channels
        1 or 3; left out, those of the images, which must then agree.
    split
        Of a Parquet folder, IDX files or a hub data set.
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

    Raises
    ------
    ValueError
        Nothing that is accepted, nothing readable in it, or a setting that does not fit.
    """
    require_one_of(cache, "data.cache", choices=CACHES)
    require(channels in (None, 1, 3), "data.channels", expected="1 or 3", got=channels)
    if resolution is not None:
        require_count(resolution, "data.resolution", minimum=4)
    folder = cache_dir or default_folder()
    if source.startswith(PREFIX) or cache == "stream":
        opened = _open_in_chunks(source, split=split, cache_dir=folder, progress=progress)
    elif source in _EMBEDDED:
        opened = _EMBEDDED[source]()
    elif source in toy.NAMES:
        return toy.points(source)
    else:
        opened = _open(source, split)
    if isinstance(opened, Arrays):
        arrays = to_dataset(source, opened, side=resolution, channels=channels)
        return replace(arrays, cache=cache)

    stream = opened if isinstance(opened, Chunked) and cache in ("auto", "stream") else None
    most = None if stream is None else _REPRESENTATIVE
    encoded = opened.encoded(most=most) if isinstance(opened, Chunked) else opened
    what = (encoded.stamp, Path(source).absolute(), most, split)
    decoded = _cached(
        cache=cache if stream is None else "auto",
        store=ImageCache(folder, key(*what, resolution, channels, FIT)),
        decode=partial(
            decode_all,
            encoded,
            side=resolution,
            channels=channels,
            workers=workers,
            progress=progress,
        ),
    )
    dataset = Dataset(
        source,
        torch.from_numpy(decoded.images),
        torch.tensor(decoded.labels) if min(decoded.labels) >= 0 else None,
        encoded.class_names,
        tuple(decoded.skipped),
        cache,
        content=encoded.content,
    )
    return dataset if stream is None else _streamed(dataset, stream, workers)


def _streamed(dataset: Dataset, source: Chunked, workers: int | None) -> Dataset:
    """Let training draw from all of a source, some of which the data set holds."""
    channels, side, _ = dataset.sample_shape
    counts = None if source.class_counts is None else torch.from_numpy(source.class_counts)
    names = source.class_names
    if counts is not None and len(names) < len(counts):
        names = tuple(map(str, range(len(counts))))
    return replace(
        dataset,
        labels=None if counts is None else dataset.labels,
        class_names=names,
        stream=Stream(source.chunks, Form(side, channels), counts, workers),
    )


def _cached(*, cache: str, store: ImageCache, decode: Callable[..., Decoded]) -> Decoded:
    """Decode, or map what an earlier start decoded."""
    found = store.load() if cache in ("auto", "disk") else None
    if found is not None:
        return found

    def allocate(shape: tuple[int, ...]) -> NDArray[np.uint8]:
        large = shape[0] >= _WORTH_KEEPING or math.prod(shape) > _memory() / 4
        if cache == "disk" or (cache == "auto" and large):
            if store.has_room(shape):
                return store.allocate(shape)
            # a mapped file that the disk cannot take ends the process without a word
            require(
                cache == "auto",
                "data.cache",
                expected=f"'disk' with room for twice {math.prod(shape)} bytes, writable",
                got=store.images.parent,
            )
        return np.empty(shape, np.uint8)

    try:
        decoded = decode(allocate)
        return store.store(decoded) if isinstance(decoded.images, np.memmap) else decoded
    finally:
        store.discard()


def _open_in_chunks(
    source: str, *, split: str, cache_dir: Path, progress: Progress | None
) -> Chunked:
    if source.startswith(PREFIX):
        return open_shards(source.removeprefix(PREFIX), cache_dir=cache_dir, progress=progress)
    path = Path(source).expanduser()
    is_parquet = path.suffix == ".parquet" or any(path.glob("*.parquet"))
    expected = "stream only for shards:PATTERN and Parquet"
    require(path.exists() and is_parquet, "data.cache", expected=expected, got=f"it for {source}")
    return open_parquet_in_chunks(path, split=split)


def _open(source: str, split: str) -> Encoded | Arrays:
    if source.startswith("hf:"):
        return open_hub(source.removeprefix("hf:"), split=split)
    path = Path(source).expanduser()
    if not path.exists():
        near = difflib.get_close_matches(source, _NAMES, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ", no such file or folder"
        raise ValueError(f"data: expected {_ACCEPTED}; got {source!r}{hint}")
    if path.is_dir():
        if any(path.glob("*.parquet")):
            return open_parquet(path, split=split)
        return open_idx(path, split=split) if find_idx(path) else open_folder(path)
    if path.suffix == ".parquet":
        return open_parquet(path, split=split)
    if path.suffix in (".npz", ".npy"):
        return open_arrays(path)
    require(path.suffix == ".zip", "data", expected=_ACCEPTED, got=f"the file {source}")
    return open_zip(path)


def _memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
