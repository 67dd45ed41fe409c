"""Rows of data of one's own: samples and labels from tensors, arrays, pictures, pairs and dicts."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sngan.data.sources.array_names import LABELS, SAMPLES
from sngan.utils.checks import require

_CHANNELS = (1, 3, 4)
FORMS = (
    "a tensor or array of samples, a pair (samples, labels), or a dictionary such as "
    '{"image": …, "label": …}'
)


class Rows(NamedTuple):
    """Samples ``(n, …)`` and their labels ``(n,)``, which may be missing."""

    samples: NDArray[Any]
    labels: NDArray[Any] | None


def rows_of(batch: Any) -> Rows:
    """Return the rows of a batch: samples alone, with labels, or in a dictionary.

    Raises
    ------
    ValueError
        If it has another form.
    """
    samples, labels = _parts(batch)
    array = as_array(samples)
    return Rows(array, None if labels is None else as_array(labels))


def stacked(items: Sequence[Any]) -> Rows:
    """Return the rows of single samples.

    Raises
    ------
    ValueError
        If an item has another form, or the items have different shapes.
    """
    parts = [_parts(item) for item in items]
    arrays = [as_array(sample) for sample, _ in parts]
    shapes = sorted({array.shape for array in arrays})
    expected = "items of one shape (resize them in the data set)"
    require(len(shapes) == 1, "data", expected=expected, got=shapes[:3])
    labels = [label for _, label in parts]
    has_labels = all(label is not None for label in labels)
    return Rows(
        np.stack(arrays), as_array([_number(one) for one in labels]) if has_labels else None
    )


def joined(parts: Sequence[Rows]) -> Rows:
    """Return the rows of several batches.

    Raises
    ------
    ValueError
        If they have different shapes.
    """
    shapes = list(dict.fromkeys(rows.samples.shape[1:] for rows in parts))
    expected = "batches of samples of one shape"
    require(len(shapes) == 1, "data", expected=expected, got=shapes[:3])
    labels = [rows.labels for rows in parts if rows.labels is not None]
    return Rows(
        np.concatenate([rows.samples for rows in parts]),
        np.concatenate(labels) if len(labels) == len(parts) else None,
    )


def is_item(element: Any) -> bool:
    """Whether an element is a single sample and no batch.

    Points are ``(dim,)``. Images are ``(C, H, W)`` or ``(H, W, C)`` with 1, 3 or 4 channels, bytes
    ``(H, W)``, or Pillow's images.
    """
    sample, _ = _parts(element)
    if _is_picture(sample):
        return True
    array = as_array(sample)
    if array.ndim == 3:
        return array.shape[0] in _CHANNELS or array.shape[2] in _CHANNELS
    return array.ndim < 2 or (array.ndim == 2 and array.dtype == np.uint8)


def as_array(value: Any) -> NDArray[Any]:
    """Return a tensor, an array, a Pillow image or a list of numbers as an array of numbers.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        array = np.empty(0, object)
    is_numeric = array.dtype.kind in "buif"
    require(is_numeric, "data", expected=f"numbers: {FORMS}", got=type(value).__name__)
    return array


def _parts(element: Any) -> tuple[Any, Any]:
    if isinstance(element, Mapping):
        named = {str(key).lower(): value for key, value in cast(Mapping[Any, Any], element).items()}
        sample = next((named[key] for key in (*SAMPLES, "pixel_values") if key in named), None)
        expected = f"a key such as image or samples in its dictionaries: {FORMS}"
        require(sample is not None, "data", expected=expected, got=", ".join(named) or "none")
        return sample, next((named[key] for key in LABELS if key in named), None)
    if isinstance(element, tuple | list) and not _is_plain_numbers(element):
        pair = cast(Sequence[Any], element)
        require(len(pair) in (1, 2), "data", expected=FORMS, got=f"{len(pair)} parts")
        return pair[0], pair[1] if len(pair) == 2 else None
    return element, None


def _is_plain_numbers(element: Sequence[Any]) -> bool:
    return all(isinstance(one, int | float) for one in element)


def _number(label: Any) -> Any:
    return label.item() if isinstance(label, Tensor | np.ndarray) and label.size == 1 else label


def _is_picture(sample: Any) -> bool:
    return hasattr(sample, "getbands") and hasattr(sample, "tobytes")
