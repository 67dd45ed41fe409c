"""Encoding of labels: numbers, text or one-hot rows become classes 0, 1, 2 and so on."""

import logging
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sngan.utils.checks import require
from sngan.utils.text import printable

_log = logging.getLogger("sngan")
_MOST_CLASSES = 2**20


class Labels(NamedTuple):
    """Classes int64 ``(N,)``, −1 for samples without a label, and the names of the classes."""

    classes: NDArray[np.int64]
    names: tuple[str, ...]


def encode(values: NDArray[Any], name: str) -> Labels:
    """Number the distinct labels: whole numbers, text, or rows with a single 1 (one-hot).

    Small numbers from 0 on keep their values if at least half of them occur. −1, nan and empty text
    are missing labels.

    Raises
    ------
    ValueError
        If labels are fractions, or are not of shape ``(N,)``, ``(N, 1)`` or one-hot ``(N, K)``.
    """
    values = _flat(np.asarray(values), name)
    missing = _missing(values)
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (np.floor(values) == values)
        bad = values[~whole & ~missing]
        expected = f"whole numbers or text as labels in {name}"
        require(not len(bad), "data", expected=expected, got=f"{bad[:1].tolist()}")
    known = values[~missing]
    distinct, positions = np.unique(known, return_inverse=True)
    classes = np.full(len(values), -1, np.int64)
    if _are_indices(distinct):
        classes[~missing] = known.astype(np.int64)
        names = tuple(map(str, range(int(distinct[-1]) + 1)))
    else:
        few = len(distinct) <= _MOST_CLASSES
        require(few, "data", expected=f"at most {_MOST_CLASSES} labels", got=len(distinct))
        classes[~missing] = positions.reshape(-1)
        names = tuple(printable(label_text(value)) for value in distinct.tolist())
    if len(names) > max(len(known) // 2, 100):
        _log.warning("%s: %d samples have %d different labels", name, len(known), len(names))
    return Labels(classes, names)


def _flat(values: NDArray[Any], name: str) -> NDArray[Any]:
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    is_column = values.ndim == 2 and values.shape[1] == 1
    if values.ndim == 2 and values.shape[1] > 1 and values.dtype.kind in "iuf":
        one_hot = bool(((values == 0) | (values == 1)).all() and (values.sum(1) == 1).all())
        expected = f"one label a sample in {name}, or rows with a single 1"
        require(one_hot, "data", expected=expected, got=f"shape {values.shape}")
        return values.argmax(1)
    usable = (values.ndim == 1 or is_column) and values.dtype.kind in "iufUS"
    expected = f"labels (N,) of whole numbers or text in {name}"
    require(usable, "data", expected=expected, got=f"{values.dtype} {values.shape}")
    return values.reshape(-1)


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind == "f":
        return np.isnan(values) | (values == -1)
    return values == (values.dtype.type() if values.dtype.kind in "US" else -1)


def _are_indices(distinct: NDArray[Any]) -> bool:
    is_number = distinct.dtype.kind in "iuf" and len(distinct) > 0
    return is_number and distinct[0] >= 0 and distinct[-1] < 2 * len(distinct)


def label_text(value: object) -> str:
    """Return a label as text, a whole number without a decimal point."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if is_whole else str(value)  # pyright: ignore[reportArgumentType]


def drop_empty(classes: NDArray[np.int64], names: tuple[str, ...]) -> Labels:
    """Drop the classes that have no sample, because a generator would never learn them."""
    found = np.unique(classes[classes >= 0])
    if len(found) == len(names):
        return Labels(classes, names)
    numbers = np.full(len(names) + 1, -1, np.int64)
    numbers[found] = np.arange(len(found))
    return Labels(numbers[classes], tuple(names[index] for index in found.tolist()))
