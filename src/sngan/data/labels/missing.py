"""Missing labels: if a minority has no label, it is left out; otherwise no label is used."""

import logging
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sngan.data.types import Encoded, Item
from sngan.utils.text import counted, printable

_log = logging.getLogger("sngan")


def drop_unlabelled(encoded: Encoded, missing: int) -> Encoded:
    """Leave out the images without a label, or use no labels; ``missing`` is their number."""
    if not missing:
        return encoded
    labelled = encoded.total - missing
    use_labels = labelled > missing
    if labelled:
        _log.warning("%s: %s", printable(encoded.name), describe_missing(labelled, missing))

    def blocks() -> Iterator[list[Item]]:
        for block in encoded.blocks():
            if use_labels:
                yield [item for item in block if item.label >= 0]
            else:
                yield [item._replace(label=-1) for item in block]

    names = encoded.class_names if use_labels else ()
    total = labelled if use_labels else encoded.total
    return replace(encoded, blocks=blocks, total=total, class_names=names, sample=None)


def rows_to_read(classes: NDArray[np.int64], name: str) -> NDArray[np.bool_]:
    """Mark the samples to read: those with a label if they are the majority, otherwise all."""
    known = classes >= 0
    labelled = int(known.sum())
    missing = len(known) - labelled
    if labelled <= missing or not missing:
        return np.ones(len(classes), bool)
    _log.warning("%s: %s", name, describe_missing(labelled, missing))
    return known


def describe_missing(labelled: int, missing: int) -> str:
    """Return a line about samples without a label: they are left out, or no label is used."""
    if labelled > missing:
        left_out = counted(
            missing,
            "sample has no label and is left out",
            "samples have no label and are left out",
        )
        return f"{left_out} (data.labels=none reads all, without labels)"
    samples = counted(missing, "sample has", "samples have")
    return f"{samples} no label, so no label is used"
