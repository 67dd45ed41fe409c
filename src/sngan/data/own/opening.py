"""Opening of data of one's own: an object in Python, or the result of a named function."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from sngan.data.dataset import Dataset
from sngan.data.fingerprint import evenly_spaced
from sngan.data.labels.encoding import encode
from sngan.data.own.batches import OwnStream, elements, fixed_random_numbers
from sngan.data.own.one_time import OneTimeIterator
from sngan.data.own.reader import Reader
from sngan.data.own.rows import FORMS, Rows, as_array, is_item, joined, rows_of, stacked
from sngan.utils.checks import require
from sngan.utils.registry import Registry, accepted
from sngan.utils.text import class_and_line

# metrics of a data set that is read as it goes are computed on so many of its samples
_AT_START = 4096
_ACCEPTED = (
    "a sngan.data.Dataset, a tensor or array, a pair (samples, labels), a map-style data set, or "
    "an iterable of batches"
)
_log = logging.getLogger("sngan")


def open_own(given: Any, name: str = "own") -> Dataset:
    """Open data that a caller gives as an object.

    =======================================  =====================================================
    object                                   a resumed run
    =======================================  =====================================================
    ``Dataset``, tensor, array, or a pair    goes on bit for bit
    map-style data set (``[i]``, ``len``)    goes on bit for bit, if an item depends on its number
                                             alone, or on random numbers of torch or ``random``
    iterable, such as a ``DataLoader``       goes on bit for bit under the same condition; it reads
                                             the present pass again
    iterator                                 goes on with the next batches of the iterator that it
                                             is given: not bit for bit, and a warning says so
    =======================================  =====================================================

    Images are ``(C, H, W)``, ``(H, W, C)`` or ``(H, W)`` with bytes, or floats in [0, 1], [−1, 1]
    or [0, 255]; they are kept with 256 levels and are not resized. Points are floats ``(dim,)``.
    A sample may come with a label: as a pair, or in a dictionary with keys such as ``image`` and
    ``label``. An element of an iterable is a batch, or a single sample. Labels of data that is read
    as it goes are numbers from 0; an attribute ``classes`` names them, as in torchvision.

    Parameters
    ----------
    given
        The data.
    name
        Its name in the settings and in messages.

    Raises
    ------
    ValueError
        If it is nothing of this kind, is empty, or its samples have several shapes.

    Examples
    --------
    >>> import torch
    >>> dataset = open_own((torch.rand(32, 2), torch.arange(32) % 4))
    >>> dataset.sample_shape, dataset.class_names
    ((2,), ('0', '1', '2', '3'))
    """
    if isinstance(given, Dataset):
        return given
    if isinstance(given, Tensor | np.ndarray) or _is_pair(given):
        return _in_memory(rows_of(given), name)
    try:
        with fixed_random_numbers():
            if _has_numbered_items(given):
                return _of_items(given, name)
            if isinstance(given, Iterable) and not isinstance(given, str | Mapping):
                return _of_iterable(given, name)
    except (ValueError, KeyboardInterrupt):
        raise
    except Exception as error:
        # code of others may raise anything
        got = f"{class_and_line(error)} from {type(given).__name__}"
        raise ValueError(f"data: expected samples of {name}, got {got}") from error
    raise ValueError(f"data: expected {_ACCEPTED}; got {type(given).__name__}")


def _as_data(part: Any, name: str) -> Any:
    """Make a function of keyword arguments of the object that a name means."""

    def opened(**offered: Any) -> Any:
        if not callable(part):
            return part
        try:
            return part(**accepted(part, offered))
        except Exception as error:
            got = f"{name}, which failed ({class_and_line(error)})"
            raise ValueError(f"data: expected a function that returns data, got {got}") from error

    return opened


SOURCES: Registry[Any] = Registry("data", {}, argument="data", convert=_as_data)
"""Functions of plug-ins that return data; sngan's own sources are kinds of files and no functions.

A function is called with those of the keyword arguments ``split``, ``resolution`` and ``channels``
that it accepts, and returns what :func:`open_own` takes.
"""


def _is_pair(given: Any) -> bool:
    """Whether it is ``(samples, labels)`` of a whole data set, and no list of batches."""
    if not isinstance(given, tuple) or len(given) != 2:
        return False
    is_array = [isinstance(part, Tensor | np.ndarray) for part in given]
    return is_array[0] and (given[1] is None or (is_array[1] and given[1].ndim < given[0].ndim))


def _has_numbered_items(given: Any) -> bool:
    if not (hasattr(given, "__getitem__") and hasattr(given, "__len__")):
        return False
    is_list = isinstance(given, list | tuple)
    require(len(given) > 0, "data", expected="at least one sample", got="none")
    return not isinstance(given, str | Mapping) and (not is_list or is_item(given[0]))


def _in_memory(rows: Rows, name: str) -> Dataset:
    count = len(rows.samples) if rows.samples.ndim else 0
    require(count > 0, "data", expected=f"samples in {name}", got=f"shape {rows.samples.shape}")
    classes, names = _classes(rows, name)
    return Dataset(name, Reader(rows, name, classes=0).first, classes, names)


def _of_items(given: Any, name: str) -> Dataset:
    total = len(given)
    rows = stacked([given[number] for number in evenly_spaced(total, _AT_START)])
    return _streamed(given, rows, name, total=total, is_items=True)


def _of_iterable(given: Any, name: str) -> Dataset:
    iterator = iter(given)
    is_repeatable = iterator is not given
    if not is_repeatable:
        iterator = given = OneTimeIterator(iterator)
    found: list[Rows] = []
    count = 0
    for rows in elements(iterator):
        found.append(rows)
        count += len(rows.samples)
        if count >= _AT_START:
            break
    require(count > 0, "data", expected=f"batches from {name}", got=f"none ({FORMS})")
    if not is_repeatable:
        _log.warning(
            "data: %s is an iterator, which cannot be read again: a resumed run goes on with what "
            "the iterator gives then, and is not the uninterrupted run bit for bit",
            name,
        )
    head = () if is_repeatable else tuple(found)
    return _streamed(
        given, joined(found), name, is_items=False, is_repeatable=is_repeatable, head=head
    )


def _streamed(
    given: Any, rows: Rows, name: str, *, total: int | None = None, **options: Any
) -> Dataset:
    classes, names = _indices(rows, name, _class_names(given))
    reader = Reader(rows, name, classes=len(names))
    shown = reader.first[:_AT_START]
    labels = None if classes is None else classes[:_AT_START]
    stream = OwnStream(given, total=total or len(shown), reader=reader, labels=labels, **options)
    return Dataset(name, shown, labels, names, stream=stream)


def _indices(
    rows: Rows, name: str, known: tuple[str, ...]
) -> tuple[Tensor | None, tuple[str, ...]]:
    """Return labels as they are, because those of later rows must have the same meaning."""
    if rows.labels is None:
        return None, ()
    labels = rows.labels
    is_number = labels.shape == (len(rows.samples),) and labels.dtype.kind in "iu"
    expected = f"a whole number of at least 0 as label of each sample of {name}"
    got = f"{labels.dtype} {labels.shape}"
    require(is_number and labels.min() >= 0, "data", expected=expected, got=got)
    count = int(labels.max()) + 1
    names = known if len(known) >= count else tuple(map(str, range(count)))
    return torch.from_numpy(labels.astype(np.int64)), names


def _class_names(given: Any) -> tuple[str, ...]:
    """Return the names of classes, as the data sets of torchvision have them."""
    for owner in (given, getattr(given, "dataset", None)):
        names = getattr(owner, "classes", None)
        if isinstance(names, list | tuple):
            return tuple(map(str, cast(Sequence[Any], names)))
    return ()


def _classes(rows: Rows, name: str) -> tuple[Tensor | None, tuple[str, ...]]:
    if rows.labels is None:
        return None, ()
    expected = f"as many labels as samples, {len(rows.samples)}"
    given = as_array(rows.labels)
    require(len(given) == len(rows.samples), "data", expected=expected, got=len(given))
    found = encode(given, name)
    is_whole = bool((found.classes >= 0).all())
    require(is_whole, "data", expected=f"a label for each sample of {name}", got="missing ones")
    return torch.from_numpy(found.classes), found.names
