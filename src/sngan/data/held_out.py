"""Held-out images: no training step draws them, and the checks of a run's health use them."""

import torch
from torch import Tensor

from sngan.data.batches.shuffling import seeded_permutation
from sngan.data.dataset import Dataset
from sngan.utils.checks import require

FEWEST, SMALLEST_DATA = 100, 400
# the order of an epoch has the key (seed, epoch), and no run has as many epochs as this number
_KEY = 0x68656C64


def held_out_count(dataset: Dataset, wanted: float | None) -> int:
    """Return how many images of a data set are kept from training.

    A fraction below 1 keeps that part, at least 100 images, and none of fewer than 400 images; a
    number from 1 on is a count. Points and streamed data keep none: new points can be drawn from a
    distribution, and the images of a stream are read in chunks, which training needs whole.

    Parameters
    ----------
    dataset
        The data.
    wanted
        The setting ``data.held_out``.

    Raises
    ------
    ValueError
        If more than half of the images are asked for, or a count for points or streamed data.

    Examples
    --------
    >>> from sngan.data import Dataset, held_out_count
    >>> images = Dataset("grey", torch.zeros(4000, 1, 8, 8, dtype=torch.uint8))
    >>> held_out_count(images, 0.05), held_out_count(images, 0.01), held_out_count(images, 30)
    (200, 100, 30)
    """
    is_fraction = wanted is not None and wanted < 1
    if not wanted or (is_fraction and (not dataset.is_images or dataset.stream is not None)):
        return 0
    total, name = len(dataset), "data.held_out"
    require(dataset.is_images, name, expected="none for points", got=f"{wanted:g}")
    require(dataset.stream is None, name, expected="none for streamed data", got=f"{wanted:g}")
    expected = f"at most half of the {total} images"
    most = 0.5 if is_fraction else total / 2
    require(wanted <= most, name, expected=expected, got=f"{wanted:g}")
    if is_fraction:
        # a half may be rounded up, and the count is checked again when a run is resumed
        part = min(round(wanted * total), total // 2)
        count = 0 if total < SMALLEST_DATA else max(FEWEST, part)
        return min(count, total - len(_one_of_each_class(dataset, torch.arange(total))))
    return int(wanted)


def held_out_rows(dataset: Dataset, count: int, *, seed: int) -> Tensor:
    """Return the rows int64 ``(count,)`` of the held-out images; each class keeps an image.

    Parameters
    ----------
    dataset
        The data.
    count
        The number of images that :func:`held_out_count` returned. If this many images would include
        the last one of a class, fewer are returned.
    seed
        The seed of the run. The choice depends on nothing else.

    Examples
    --------
    >>> from sngan.data import Dataset, held_out_rows
    >>> images = Dataset("grey", torch.zeros(6, 1, 8, 8, dtype=torch.uint8))
    >>> held_out_rows(images, 2, seed=0).shape
    torch.Size([2])
    """
    if not count:
        return torch.empty(0, dtype=torch.int64)
    order = seeded_permutation(len(dataset), seed, _KEY)
    may_be_held_out = torch.ones(len(dataset), dtype=torch.bool)
    may_be_held_out[_one_of_each_class(dataset, order)] = False
    return order[may_be_held_out[order]][:count]


def trained_rows(dataset: Dataset, held_out: Tensor) -> Tensor:
    """Return all other rows of a data set, in ascending order.

    Examples
    --------
    >>> from sngan.data import Dataset, trained_rows
    >>> images = Dataset("grey", torch.zeros(6, 1, 8, 8, dtype=torch.uint8))
    >>> trained_rows(images, torch.tensor([4, 1]))
    tensor([0, 2, 3, 5])
    """
    is_trained = torch.ones(len(dataset), dtype=torch.bool)
    is_trained[held_out] = False
    return is_trained.nonzero().flatten()


def _one_of_each_class(dataset: Dataset, order: Tensor) -> Tensor:
    """Return the first row of each class in this order; without labels, one row."""
    if dataset.labels is None:
        return order[:1]
    classes, labels = dataset.labels.cpu()[order].unique(return_inverse=True)
    first = torch.full((len(classes),), len(order))
    return order[first.scatter_reduce_(0, labels, torch.arange(len(order)), "amin")]
