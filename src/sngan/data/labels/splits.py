"""Names of splits: train, val and test, in their usual spellings."""

import re
from collections import defaultdict
from collections.abc import Iterable

_SPELLINGS = {
    "train": ("train", "training", "trainset", "trn"),
    "val": ("val", "valid", "validation", "dev", "valset", "eval"),
    "test": ("test", "testing", "testset", "t10k", "tst"),
}
_NAMES = {spelling: name for name, known in _SPELLINGS.items() for spelling in known}
_PART = re.compile(r"[-_. ]+")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def split_of(name: str) -> str | None:
    """The split that a folder's or file's whole name means: ``train`` for ``Training``."""
    return _NAMES.get(name.lower())


def splits_among(names: Iterable[str]) -> dict[str, str]:
    """The names that mean splits, with the split of each.

    A longer name counts beside one of another split that has the same other words:
    ``training_set`` beside ``test_set``, ``train2017`` beside ``val2017``.
    """
    found: dict[str, str] = {}
    by_rest: defaultdict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for name in names:
        words = _WORD.findall(name)
        known = [word for word in words if split_of(word)]
        if split := split_of(name):
            found[name] = by_rest[()][name] = split
        elif len(known) == 1:
            rest = tuple(word.lower() for word in words if word != known[0])
            by_rest[rest][name] = _NAMES[known[0].lower()]
    for own in by_rest.values():
        if len(set(own.values())) > 1:
            found |= own
    return found


def leading_split(name: str) -> str | None:
    """The split that the first word of a name means: ``test`` for ``test-00000-of-00001``."""
    return split_of(_PART.split(name, maxsplit=1)[0])


def is_split(asked: str, name: str) -> bool:
    """Whether a folder or file of this name is what a person asked for."""
    return asked == name or (split_of(asked) is not None and split_of(asked) == split_of(name))
