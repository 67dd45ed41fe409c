"""Labels of samples: checked indices, names of classes, and the classes of chosen seeds."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sngan.config import ModelConfig
from sngan.runs.networks import balanced_labels
from sngan.utils.checks import require, require_one_of
from sngan.utils.text import counted, printable


def labels_of(model: ModelConfig, n: int, labels: Tensor | int | None) -> Tensor | None:
    """Return the labels int64 ``(n,)`` of ``n`` samples; ``None`` for an unconditional model.

    Parameters
    ----------
    model
        The settings of the networks.
    n
        The number of samples.
    labels
        An index for all samples or one for each; left out: all learned classes in turn.

    Raises
    ------
    ValueError
        If the labels have another shape or type, are out of range, belong to a class without
        samples in the data, or are given to an unconditional model.
    """
    count = model.num_classes
    if labels is None:
        return balanced_labels(n, model.learned_classes)
    require(count > 0, "labels", expected="none for an unconditional run", got="labels")
    given = torch.as_tensor(labels)
    integers = not given.is_floating_point() and not given.is_complex()
    require(
        integers and given.dtype != torch.bool and given.shape in ((), (n,)),
        "labels",
        expected=f"an integer, or an integer tensor of shape ({n},)",
        got=f"{given.dtype} of shape {tuple(given.shape)}",
    )
    require(
        bool(((given >= 0) & (given < count)).all()),
        "labels",
        expected=f"classes from 0 to {count - 1}",
        got=f"{int(given.min())} to {int(given.max())}",
    )
    for index in given.unique().tolist():
        _require_learned(model, index, "labels")
    return given.long().cpu().expand(n)


def default_labels(model: ModelConfig, seeds: Sequence[int]) -> Tensor | None:
    """Return a learned class for each seed, which does not depend on the other seeds."""
    learned = model.learned_classes
    if not learned:
        return None
    return torch.tensor([learned[seed % len(learned)] for seed in seeds])


def class_index(model: ModelConfig, label: str) -> int:
    """Return the index of the class with this name. A number may stand for an index.

    Raises
    ------
    ValueError
        If there is no such class (the error lists the near names), the class had no samples in the
        data, or the model is unconditional.
    """
    names = model.class_names
    require(bool(names), "label", expected="none for an unconditional run", got=repr(label))
    if label not in names and label.isdecimal() and int(label) < len(names):
        index = int(label)
    else:
        require_one_of(label, "label", choices=names)
        index = names.index(label)
    _require_learned(model, index, "label")
    return index


def class_indices(model: ModelConfig, text: str, n: int) -> Tensor:
    """Return the classes of ``n`` samples, int64 ``(n,)``: one name or index, or a list of them.

    A list with commas is repeated until all samples have a class. A name with a comma is no list.

    Parameters
    ----------
    model
        The settings of the networks.
    text
        The names or indices.
    n
        The number of samples.

    Raises
    ------
    ValueError
        If :func:`class_index` refuses one of them, or there are more than samples.
    """
    parts = [text] if text in model.class_names else [part.strip() for part in text.split(",")]
    found = torch.tensor([class_index(model, part) for part in parts])
    got = f"{len(found)} classes"
    require(
        len(found) <= n,
        "label",
        expected=f"at most one class for each of {counted(n, 'sample')}",
        got=got,
    )
    return found[torch.arange(n) % len(found)]


def _require_learned(model: ModelConfig, index: int, name: str) -> None:
    got = f"{printable(model.class_names[index])}, a class without samples"
    is_learned = index not in model.empty_classes
    require(is_learned, name, expected="a class that had samples in training", got=got)
