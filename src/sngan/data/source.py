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
from sngan.data.arrays import Arrays, open_arrays, to_dataset
from sngan.data.cache import ImageCache, default_folder, key
from sngan.data.dataset import Dataset
from sngan.data.decoding import FIT, Decoded, Encoded, Progress, decode_all
from sngan.data.folder import open_folder, open_zip
from sngan.data.hub import open_hub
from sngan.data.idx import find_idx, open_idx
from sngan.data.parquet import open_parquet

CACHES = ("auto", "device", "memory", "disk")
_NAMES = (*toy.NAMES, stacked.NAME)
_EMBEDDED = {"digits": toy.digits, stacked.NAME: stacked.stacked_digits}
_ACCEPTED = (
    f"{', '.join(_NAMES)}, a folder or zip of images, a Parquet file or folder, "
    "a folder of IDX files, .npz, .npy, or hf:NAME[:SPLIT]"
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
    """Open a SOURCE and decode its images to one uint8 tensor.

    Parameters
    ----------
    source
        ``digits``, ``stacked-digits``, ``ring8``, ``grid25``, ``swissroll``, a folder or zip of
        images (class folders give labels), a Parquet file or folder, a folder of IDX files,
        ``.npz``/``.npy``, or ``hf:NAME[:SPLIT]``.
    resolution
        Side in pixels: the shorter side is resized to it, antialiased, and the centre cut. Left
        out, the shorter side of the first image as a multiple of 4, or 64 if it is over 128.
    channels
        1 or 3; left out, those of the images, which must then agree.
    split
        Of a Parquet folder, IDX files or a hub data set.
    cache
        ``disk`` keeps the decoded images in a file under ``cache_dir`` that the next start maps;
        ``memory`` and ``device`` do not; ``auto`` does if they need over a quarter of the memory.
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
    embedded = _EMBEDDED.get(source)
    if source in toy.NAMES and embedded is None:
        return toy.points(source)
    opened = embedded() if embedded else _open(source, split)
    if not isinstance(opened, Encoded):
        arrays = to_dataset(source, opened, side=resolution, channels=channels)
        return replace(arrays, cache=cache)

    decoded = _cached(
        cache=cache,
        store=ImageCache(
            cache_dir or default_folder(),
            key(FIT, opened.fingerprint, Path(source).absolute(), resolution, channels, split),
        ),
        decode=partial(
            decode_all,
            opened,
            side=resolution,
            channels=channels,
            workers=workers,
            progress=progress,
        ),
    )
    labels = torch.tensor(decoded.labels) if min(decoded.labels) >= 0 else None
    return Dataset(
        source,
        torch.from_numpy(decoded.images),
        labels,
        opened.class_names,
        tuple(decoded.skipped),
        cache,
    )


def _cached(*, cache: str, store: ImageCache, decode: Callable[..., Decoded]) -> Decoded:
    """Decode, or map what an earlier start decoded."""
    found = store.load() if cache in ("auto", "disk") else None
    if found is not None:
        return found

    def allocate(shape: tuple[int, ...]) -> NDArray[np.uint8]:
        too_large = cache == "auto" and math.prod(shape) > _memory() / 4
        if cache == "disk" or too_large:
            return store.allocate(shape)
        return np.empty(shape, np.uint8)

    try:
        decoded = decode(allocate)
        return store.store(decoded) if isinstance(decoded.images, np.memmap) else decoded
    finally:
        store.discard()


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
