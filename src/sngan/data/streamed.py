"""Streamed data set: some decoded samples, together with the stream of all samples."""

from dataclasses import replace

import torch

from sngan.data.dataset import Dataset
from sngan.data.images.transparency import rgb
from sngan.data.sources.chunked import ChunkedSource
from sngan.data.types import Decoded, ImageSpec, ReadOptions, Stream


def streamed(
    dataset: Dataset,
    source: ChunkedSource,
    decoded: Decoded,
    options: ReadOptions,
    workers: int | None,
) -> Dataset:
    """Add the stream of all samples to a data set that holds some of them.

    Parameters
    ----------
    dataset
        The data set of some samples.
    source
        The source that is read in chunks.
    decoded
        The decoded samples of the data set.
    options
        How the source is read.
    workers
        The number of decoding threads; ``None`` is one a core.
    """
    channels, height, width = dataset.sample_shape
    counts = None if source.class_counts is None else torch.from_numpy(source.class_counts)
    names = source.class_names
    if counts is not None and len(names) < len(counts):
        names = tuple(map(str, range(len(counts))))
    behind = None if options.is_legacy else rgb(options.background)
    spec = ImageSpec(
        (height, width), channels, behind, decoded.value_ranges, options.fit, options.version
    )
    unreadable = 0 if options.is_legacy else len(dataset.skipped)
    return replace(
        dataset,
        labels=None if counts is None else dataset.labels,
        class_names=names,
        stream=Stream(source.chunks, spec, counts, workers, unreadable),
    )
