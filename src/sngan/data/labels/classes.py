"""Classes of a whole data set: drops samples without a label and classes without a sample."""

import logging
from dataclasses import replace

import torch

from sngan.data.dataset import Dataset
from sngan.data.labels.encoding import drop_empty
from sngan.data.labels.missing import describe_missing
from sngan.data.types import ReadOptions
from sngan.utils.text import printable

_log = logging.getLogger("sngan")
_SHOWN = 5


def drop_unlabelled_samples(dataset: Dataset, options: ReadOptions) -> Dataset:
    """Leave out the samples without a label (−1) if they are the minority, or use no labels."""
    labels = dataset.labels
    if labels is None or int(labels.min()) >= 0:
        return dataset
    known = labels >= 0
    labelled = int(known.sum())
    missing = len(known) - labelled
    if not options.is_legacy:
        _log.warning("%s: %s", printable(dataset.name), describe_missing(labelled, missing))
    if options.is_legacy or labelled <= missing:
        return replace(dataset, labels=None)
    return replace(dataset, samples=dataset.samples[known], labels=labels[known])


def drop_empty_classes(dataset: Dataset, options: ReadOptions) -> Dataset:
    """Drop named classes without an image. Numbered ones keep their numbers: only warn of them."""
    if dataset.labels is None or options.is_legacy:
        return dataset
    names = dataset.class_names
    total = len(names) or int(dataset.labels.max()) + 1
    counts = dataset.class_counts(total).tolist()
    empty = [index for index, count in enumerate(counts) if not count]
    if not empty:
        return dataset
    shown = ", ".join(names[index] if names else str(index) for index in empty[:_SHOWN])
    is_numbered = not names or names == tuple(map(str, range(len(names))))
    keeps = is_numbered or dataset.stream is not None
    _log.warning(
        "%s: %d of %d classes have no images%s: %s%s", printable(dataset.name), len(empty), total,
        "" if keeps else " and are left out", shown, ", …" if len(empty) > _SHOWN else "",
    )  # fmt: skip
    if keeps:
        return dataset
    kept = drop_empty(dataset.labels.numpy(), names)
    return replace(dataset, labels=torch.from_numpy(kept.classes), class_names=kept.names)
