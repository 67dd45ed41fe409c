"""Splits: the usual names of folders and files that mean train, val or test."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable

from sngan.utils.checks import require
from sngan.utils.text import printable

_SPELLINGS = {
    "train": ("train", "training", "trainset", "trn"),
    "val": ("val", "valid", "validation", "dev", "valset", "eval"),
    "test": ("test", "testing", "testset", "t10k", "tst"),
}
_NAMES = {spelling: name for name, known in _SPELLINGS.items() for spelling in known}
FILLERS = (
    "set",
    "data",
    "dataset",
    "images",
    "image",
    "imgs",
    "img",
    "photos",
    "pictures",
    "split",
)
"""Words beside the name of a split that say nothing, as in ``Training Set`` beside ``test``."""
_PART = re.compile(r"[-_. ]+")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def split_of(name: str) -> str | None:
    """Return the split that a whole name means, such as ``train`` for ``Training``."""
    return _NAMES.get(name.lower())


def splits_among(names: Iterable[str], *, fillers: Collection[str] = ()) -> dict[str, str]:
    """Return the names that mean splits, with the split of each.

    A longer name counts only if a name of another split agrees with it in all other words, such as
    ``training_set`` with ``test_set`` and ``train2017`` with ``val2017``. Words of ``fillers`` do
    not count.
    """
    found: dict[str, str] = {}
    by_rest: defaultdict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for name in names:
        words = _WORD.findall(name)
        known = [word for word in words if split_of(word)]
        if split := split_of(name):
            found[name] = by_rest[()][name] = split
        elif len(known) == 1:
            others = (word.lower() for word in words if word != known[0])
            rest = tuple(word for word in others if word not in fillers)
            by_rest[rest][name] = _NAMES[known[0].lower()]
    for own in by_rest.values():
        if len(set(own.values())) > 1:
            found |= own
    return found


def leading_split(name: str) -> str | None:
    """Return the split that the first word means: ``test`` for ``test-00000-of-00001``."""
    return split_of(_PART.split(name, maxsplit=1)[0])


def is_split(asked: str, name: str) -> bool:
    """Whether a folder or file of this name is the split that the user asked for."""
    return asked == name or (split_of(asked) is not None and split_of(asked) == split_of(name))


def require_only_train(asked: str, where: str) -> None:
    """Require the split ``train`` of a source that has no splits.

    Raises
    ------
    ValueError
        If another split was asked for.
    """
    expected = f"train, as {printable(where)} has no splits"
    require(split_of(asked) == "train", "data.split", expected=expected, got=repr(asked))
