"""Names of splits: train, val and test, in their usual spellings."""

import re

_SPELLINGS = {
    "train": ("train", "training", "trainset", "trn"),
    "val": ("val", "valid", "validation", "dev", "valset", "eval"),
    "test": ("test", "testing", "testset", "t10k", "tst"),
}
_NAMES = {spelling: name for name, known in _SPELLINGS.items() for spelling in known}
_PART = re.compile(r"[-_. ]+")


def split_of(name: str) -> str | None:
    """The split that a folder's or file's whole name means: ``train`` for ``Training``."""
    return _NAMES.get(name.lower())


def leading_split(name: str) -> str | None:
    """The split that the first word of a name means: ``test`` for ``test-00000-of-00001``."""
    return split_of(_PART.split(name, maxsplit=1)[0])


def is_split(asked: str, name: str) -> bool:
    """Whether a folder or file of this name is what a person asked for."""
    return asked == name or (split_of(asked) is not None and split_of(asked) == split_of(name))
