"""Array names in an ``.npz``: find the arrays of samples and of labels, and their splits."""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sngan.data.labels.splits import is_split, require_only_train, split_of
from sngan.data.sources.array_file import Header
from sngan.data.types import ReadOptions
from sngan.utils.checks import require
from sngan.utils.text import printable

_log = logging.getLogger("sngan")
SAMPLES = (
    *("samples", "images", "image", "imgs", "img", "x", "data", "pixels", "inputs", "input"),
    *("pictures", "photos", "features", "points"),
)
LABELS = (
    *("labels", "label", "y", "targets", "target", "classes", "class", "class_ids", "class_id"),
    *("categories", "category", "t"),
)


_UNNAMED = re.compile(r"arr_\d+")


class NamedArray(NamedTuple):
    """An array: its key in the file, and its name in small letters without the split."""

    key: str
    base: str
    split: str | None


def choose_arrays(
    headers: Mapping[str, Header], options: ReadOptions, where: str
) -> tuple[str, str | None]:
    """Choose the keys of the samples and of their labels; ``None`` without labels.

    Parameters
    ----------
    headers
        The headers of all arrays in the file.
    options
        The split and the labels that were asked for.
    where
        The file, for errors.

    Raises
    ------
    ValueError
        If the file lacks the split or the labels that were asked for, or has no array of samples
        or several.
    """
    arrays = _of_split([_named(key) for key in headers], options.split, where)
    samples = _samples(arrays, headers, where)
    if options.labels == "none":
        return samples, None
    if options.labels != "auto":
        expected = f"auto, none or one of {_listed(list(headers))}"
        require(options.labels in headers, "data.labels", expected=expected, got=options.labels)
        return samples, options.labels
    others = [array for array in arrays if array.key != samples]
    by_name = [array.key for name in LABELS for array in others if array.base == name]
    if by_name:
        return samples, by_name[0]
    fitting = [array.key for array in others if _may_be_labels(headers[array.key])]
    of_length = [key for key in fitting if len(headers[key]) == len(headers[samples])]
    if len(of_length) != 1:
        return samples, None
    # arrays that NumPy named itself, arr_0 and arr_1, are usually meant as samples and labels
    if not _UNNAMED.fullmatch(of_length[0]):
        text = "%s: its array %s is read as labels (data.labels=none|NAME chooses otherwise)"
        _log.warning(text, where, printable(of_length[0]))
    return samples, of_length[0]


def _named(key: str) -> NamedArray:
    words = [word for word in re.split(r"[-_. /]+", key.lower()) if word]
    splits = [word for word in words if split_of(word)]
    base = "_".join(word for word in words if word not in splits[:1])
    return NamedArray(key, base, splits[0] if splits else None)


def _of_split(arrays: Sequence[NamedArray], asked: str, where: str) -> list[NamedArray]:
    if not any(array.split for array in arrays):
        require_only_train(asked, where)
        return list(arrays)
    found = [array for array in arrays if array.split and is_split(asked, array.split)]
    splits = sorted({array.split for array in arrays if array.split})
    require(bool(found), "data.split", expected=f"one of {splits}", got=repr(asked))
    return found


def _samples(arrays: Sequence[NamedArray], headers: Mapping[str, Header], where: str) -> str:
    usable = [a for a in arrays if headers[a.key].is_numeric and len(headers[a.key].shape) > 1]
    by_name = [array.key for name in SAMPLES for array in usable if array.base == name]
    if by_name:
        return by_name[0]
    images = [a.key for a in usable if len(headers[a.key].shape) > 2 and a.base not in LABELS]
    points = [a.key for a in usable if a.base not in LABELS]
    likely = images or points or [array.key for array in arrays]
    expected = f"an array named samples, images or x in {where}"
    require(len(likely) == 1, "data", expected=expected, got=_listed(likely) or "none")
    return likely[0]


def _may_be_labels(header: Header) -> bool:
    return len(header.shape) == 1 and header.dtype.kind in "buiUS"


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(map(printable, keys[:8])) + (", …" if len(keys) > 8 else "")
