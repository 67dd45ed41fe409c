"""Opening of a SOURCE: find its kind, read and decode it, and return a data set."""

import difflib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import torch

from sngan.data.cache import ImageCache, cache_key, decode_or_load, default_folder
from sngan.data.dataset import Dataset
from sngan.data.errors import short_reason
from sngan.data.images.decoding import decode_all
from sngan.data.images.formats import suffix
from sngan.data.images.placement import Fit, Size, parse_resolution, resolution_setting
from sngan.data.images.transparency import rgb
from sngan.data.labels.classes import drop_empty_classes, drop_unlabelled_samples
from sngan.data.labels.splits import require_only_train
from sngan.data.own.opening import SOURCES, open_own
from sngan.data.sources import stacked_digits as stacked
from sngan.data.sources import toy
from sngan.data.sources.arrays import open_arrays, to_dataset
from sngan.data.sources.chunked import ChunkedSource
from sngan.data.sources.folder import open_folder
from sngan.data.sources.hub import open_hub
from sngan.data.sources.idx import find_idx, open_idx
from sngan.data.sources.parquet import find_table_files, open_chunked_parquet, open_parquet
from sngan.data.sources.shards import PREFIX, open_shards
from sngan.data.sources.zip_archive import open_zip
from sngan.data.streamed import streamed
from sngan.data.types import (
    READING,
    Arrays,
    Encoded,
    Progress,
    ReadOptions,
)  # fmt: skip
from sngan.utils.checks import require, require_one_of
from sngan.utils.importing import is_object_name
from sngan.utils.text import printable

_log = logging.getLogger("sngan")
CACHES = ("auto", "device", "memory", "disk", "stream")
# metrics of streamed data are computed on so many of its samples
_REPRESENTATIVE = 10_000
_NAMES = (*toy.NAMES, stacked.NAME)
_EMBEDDED = {"digits": toy.digits, stacked.NAME: stacked.stacked_digits}
_ACCEPTED = (
    f"{', '.join(_NAMES)}, a folder or zip of images, a Parquet file or folder, "
    "shards:PATTERN (tar files), a folder of IDX files, .npz, .npy, hf:NAME[:SPLIT], or "
    "package.module:function"
)


def open_source(
    source: str | os.PathLike[str],
    *,
    resolution: int | str | Sequence[int] | None = None,
    channels: int | None = None,
    split: str = "train",
    labels: str = "auto",
    background: str = "white",
    fit: Fit = "crop",
    cache: str = "auto",
    workers: int | None = None,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    reading: int = READING,
    on_opened: Callable[[Encoded | ChunkedSource | Arrays | Dataset], None] | None = None,
) -> Dataset:
    """Open a SOURCE and decode its images, or 10,000 images of a stream, to one uint8 tensor.

    Parameters
    ----------
    source
        ``digits``, ``stacked-digits``, ``ring8``, ``grid25``, ``swissroll``, a folder or zip of
        images (class folders give labels), a Parquet file or folder, ``shards:PATTERN`` (tar files
        in WebDataset's layout), a folder of IDX files, ``.npz``/``.npy``, ``hf:NAME[:SPLIT]``, or
        ``package.module:function``, whose result :func:`sngan.data.open_own` opens.
    resolution
        The size in pixels, such as 32 for squares, or ``"32x96"`` or ``(32, 96)``: height, then
        width. ``None`` takes the median of the shorter sides of some images, rounded down to a
        multiple of 4 and at least 8; or 64 if it is over 128.
    channels
        1 (grey), 3 (colour) or 4 (colour and opacity). ``None`` is 3 if an image is in colour,
        else 1.
    split
        The split to read, if the source has folders, files or arrays named ``train``, ``val``,
        ``test`` or similarly.
    labels
        ``auto``, ``none``, ``folders`` (each is a class), a CSV or JSON file of labels for a folder
        or zip of images, or the name of a column or array.
    background
        The colour behind transparent pixels and around padded images: a name or ``#rrggbb``.
    fit
        How images of another shape are fitted: ``crop`` cuts out the centre, ``pad`` adds the
        background, ``stretch`` changes the shape.
    cache
        ``disk`` keeps the decoded images in a file under ``cache_dir`` that the next start maps;
        ``memory`` and ``device`` keep none. ``auto`` keeps one from 10,000 images on, or if they
        need over a quarter of the memory. ``stream`` reads and decodes during training; it is for
        Parquet and shards, and for shards ``auto`` is ``stream``. ``samples`` of a stream are
        10,000 images at equal distances.
    workers
        The number of decoding threads; ``None`` is one a core.
    cache_dir
        The folder of the cache; ``None`` is ``$XDG_CACHE_HOME/sngan`` or ``~/.cache/sngan``.
    progress
        Called with (images done, all images).
    reading
        The version of the rules by which files are read: 1 gives the pixels, labels and layouts of
        the first release.
    on_opened
        Called with the opened source before its images are decoded, for
        :func:`sngan.data.survey.survey`.

    Raises
    ------
    ValueError
        If the source is of no known kind, nothing in it can be read, or a setting does not fit it.

    Examples
    --------
    >>> from sngan.data import open_source
    >>> digits = open_source("digits")
    >>> digits.samples.shape, digits.samples.dtype, digits.class_names[:3]
    (torch.Size([1797, 1, 8, 8]), torch.uint8, ('0', '1', '2'))
    """
    source = os.fspath(source)
    require_one_of(cache, "data.cache", choices=CACHES)
    require(channels in (None, 1, 3, 4), "data.channels", expected="1, 3 or 4", got=channels)
    require_one_of(fit, "data.fit", choices=get_args(Fit))
    size = None if resolution is None else parse_resolution(resolution)
    rgb(background)
    if _is_own(source):
        offered = {"split": split, "resolution": resolution, "channels": channels}
        opened = open_own(SOURCES[source](**offered), source)
        return replace(opened, labels=None, class_names=()) if labels == "none" else opened
    options = ReadOptions(split, labels, background, reading, fit)
    folder = cache_dir or default_folder()
    try:
        if source.startswith(PREFIX) or cache == "stream":
            opened = _open_in_chunks(source, options, cache_dir=folder, progress=progress)
        else:
            opened = _open(source, options)
    except OSError as error:
        got = f"{printable(source)} ({short_reason(error)})"
        raise ValueError(f"data: expected files that can be read, got {got}") from error
    if on_opened is not None:
        on_opened(opened)
    if isinstance(opened, Dataset):
        return replace(opened, labels=None, class_names=()) if labels == "none" else opened
    if isinstance(opened, Arrays):
        if labels == "none":
            opened = opened._replace(labels=None, class_names=())
        arrays = to_dataset(source, opened, size=size, channels=channels, options=options)
        return drop_empty_classes(replace(arrays, cache=cache), options)

    stream = opened if isinstance(opened, ChunkedSource) and cache in ("auto", "stream") else None
    most = None if stream is None else _REPRESENTATIVE
    encoded = opened.encoded(most=most) if isinstance(opened, ChunkedSource) else opened
    key = _key(source, encoded.stamp, most, options, size, channels)
    decoded = decode_or_load(
        cache=cache if stream is None else "auto",
        store=ImageCache(folder, key),
        decode=partial(
            decode_all,
            encoded,
            size=size,
            channels=channels,
            options=options,
            workers=workers,
            progress=progress,
        ),
    )
    for remark in decoded.remarks:
        _log.warning("%s: %s", printable(source), remark)
    dataset = Dataset(
        source,
        torch.from_numpy(decoded.images),
        torch.tensor(decoded.labels) if max(decoded.labels) >= 0 else None,
        encoded.class_names,
        tuple(decoded.skipped),
        cache,
        content=encoded.content,
    )
    dataset = drop_unlabelled_samples(dataset, options)
    if stream is not None:
        dataset = streamed(dataset, stream, decoded, options, workers)
    return drop_empty_classes(dataset, options)


def is_missing(source: str) -> bool:
    """Whether a SOURCE is a path, and there is nothing.

    Patterns, names of a hub, functions, and the names ``digits``, ``ring8`` and so on are no paths.

    Examples
    --------
    >>> from sngan.data import is_missing
    >>> is_missing("digits"), is_missing("no/such/folder")
    (False, True)
    """
    is_path = source not in _NAMES and not source.startswith((PREFIX, "hf:"))
    return is_path and _path(source) is None and not _is_own(source)


def _is_own(source: str) -> bool:
    """Whether a source names a function, of a plug-in or as ``package.module:name``."""
    if source in _NAMES or source.startswith(("hf:", PREFIX)) or _path(source) is not None:
        return False
    return is_object_name(source) or source in SOURCES.names()


def _key(
    source: str,
    stamp: str,
    most: int | None,
    options: ReadOptions,
    size: Size | None,
    channels: int | None,
) -> str:
    resolution = size and resolution_setting(size)
    parts = (stamp, Path(source).absolute(), most, options.split, resolution, channels, "bicubic")
    parts += () if options.fit == "crop" else (options.fit,)
    if options.is_legacy:
        return cache_key(*parts)
    return cache_key(*parts, options.version, options.labels, *rgb(options.background))


def _open_in_chunks(
    source: str, options: ReadOptions, *, cache_dir: Path, progress: Progress | None
) -> ChunkedSource:
    if source.startswith(PREFIX):
        pattern = source.removeprefix(PREFIX)
        return open_shards(pattern, options, cache_dir=cache_dir, progress=progress)
    path = _path(source)
    if path is None or not find_table_files(path, options):
        expected = "stream only for shards:PATTERN and Parquet"
        raise ValueError(f"data.cache: expected {expected}, got it for {printable(source)}")
    return open_chunked_parquet(path, options)


def _open(source: str, options: ReadOptions) -> Encoded | Arrays | Dataset:
    if source in _NAMES:
        _require_plain(source, options)
        return _EMBEDDED[source]() if source in _EMBEDDED else toy.points(source)
    if source.startswith("hf:"):
        _require_no_file(source, options)
        return open_hub(source.removeprefix("hf:"), options)
    path = _path(source)
    if path is None:
        near = difflib.get_close_matches(source, _NAMES, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ", no such file or folder"
        raise ValueError(f"data: expected {_ACCEPTED}; got {printable(source)!r}{hint}")
    if find_table_files(path, options):
        return open_parquet(path, options)
    if path.is_dir() and not find_idx(path):
        return open_folder(path, options)
    kind = suffix(path.name)
    if kind == "zip":
        return open_zip(path, options)
    if kind in ("npz", "npy"):
        return open_arrays(path, options)
    _require_no_file(source, options)
    require(path.is_dir(), "data", expected=_ACCEPTED, got=f"the file {printable(source)}")
    return open_idx(path, split=options.split)


def _path(source: str) -> Path | None:
    """The file or folder of this name; ``None`` if there is none."""
    try:
        path = Path(source).expanduser()
        return path if source.strip() and path.exists() else None
    except (OSError, ValueError, RuntimeError) as error:
        # the name is too long, has a null byte, or names the home of an unknown user
        got = f"{printable(source)[:100]!r} ({short_reason(error)})"
        raise ValueError(f"data: expected {_ACCEPTED}; got {got}") from error


def _require_plain(source: str, options: ReadOptions) -> None:
    """Require the default split and labels, because data that sngan makes has no others."""
    if not options.is_legacy:
        require_only_train(options.split, source)
    _require_no_file(source, options)


def _require_no_file(source: str, options: ReadOptions) -> None:
    expected = f"auto or none for {printable(source)}"
    fits = options.labels in ("auto", "none")
    require(fits, "data.labels", expected=expected, got=repr(options.labels))
