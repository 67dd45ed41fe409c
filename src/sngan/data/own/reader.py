"""Reader of data of one's own: makes tensors of rows, and refuses those that differ."""

import numpy as np
import torch
from torch import Tensor

from sngan.data.own.rows import Rows
from sngan.data.sources.arrays import Converter
from sngan.utils.checks import require


class Reader:
    """Makes tensors of rows, as the first rows decide: their shape, value range and labels.

    Parameters
    ----------
    rows
        Representative rows.
    name
        The name of the data, for messages.
    classes
        The number of classes; 0 without labels.
    """

    def __init__(self, rows: Rows, name: str, *, classes: int) -> None:
        self._name, self._classes = name, classes
        self._convert = Converter(rows.samples, name)
        self.first = self._convert.first
        self.shape = tuple(rows.samples.shape[1:])

    def __call__(self, rows: Rows) -> tuple[Tensor, Tensor | None]:
        """Return samples uint8 ``(n, C, H, W)`` or float32 ``(n, dim)``, and labels int64.

        Raises
        ------
        ValueError
            If rows differ from the first ones in shape, value range or labels.
        """
        got = tuple(rows.samples.shape[1:])
        require(got == self.shape, "data", expected=f"{self._name} of shape {self.shape}", got=got)
        return self._convert(rows.samples), self._labels(rows)

    def _labels(self, rows: Rows) -> Tensor | None:
        if not self._classes:
            return None
        labels = rows.labels
        expected = f"a label from 0 to {self._classes - 1} for each sample of {self._name}"
        if labels is None or labels.shape != (len(rows.samples),) or labels.dtype.kind not in "iu":
            got = "none" if labels is None else f"{labels.dtype} {labels.shape}"
            raise ValueError(f"data: expected {expected}, got {got}")
        inside = not len(labels) or (labels.min() >= 0 and labels.max() < self._classes)
        got = f"{labels.min()} … {labels.max()}" if len(labels) else "none"
        require(bool(inside), "data", expected=expected, got=got)
        return torch.from_numpy(labels.astype(np.int64))
