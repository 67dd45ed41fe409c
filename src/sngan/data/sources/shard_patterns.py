"""Patterns of tar shards: expand globs and braces, and choose the shards of one split."""

import glob
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from sngan.data.labels.splits import is_split, splits_among
from sngan.data.types import ReadOptions
from sngan.utils.checks import require
from sngan.utils.text import printable

_MOST_NAMES = 100_000
_log = logging.getLogger("sngan")


def expand_pattern(pattern: str) -> list[Path]:
    """Return the files that a glob or braces name, in order.

    Raises
    ------
    ValueError
        If a name matches no file, or the pattern is empty, malformed or names too many files.
    """
    files: list[Path] = []
    shown = printable(pattern)
    try:
        require(bool(pattern), "data", expected="tar files after shards:", got="no name")
        for name in list(_expanded(str(Path(pattern).expanduser()), [_MOST_NAMES])):
            found = sorted(glob.glob(name))  # noqa: PTH207
            expected = f"tar files that match {shown}"
            require(bool(found), "data", expected=expected, got=f"no {printable(name)}")
            files += map(Path, found)
    except (OSError, RuntimeError, re.error) as error:
        raise ValueError(f"data: expected a pattern of tar files, got {shown}") from error
    return files


def shards_of_split(
    files: list[Path], options: ReadOptions, pattern: str
) -> tuple[list[Path], ReadOptions]:
    """Choose the shards of the split if a glob matches several splits.

    Alternatives in braces, such as ``{train,val}``, are all read, because the user named them.

    Parameters
    ----------
    files
        All shards.
    options
        The settings; ``split`` is the split that was asked for.
    pattern
        The glob or braces.

    Returns
    -------
    tuple of list of Path and ReadOptions
        The shards, and the options for reading them.

    Raises
    ------
    ValueError
        If the shards have splits, and the one that was asked for is not among them.
    """
    by_name = splits_among(file.stem for file in files)
    by_folder = splits_among(file.parent.name for file in files)
    splits = [by_name.get(file.stem) or by_folder.get(file.parent.name) for file in files]
    known = sorted({split for split in splits if split})
    if len(known) < 2 or re.search(r"\{[^{}]*,", pattern):
        return files, options
    chosen = [f for f, s in zip(files, splits, strict=True) if s and is_split(options.split, s)]
    require(bool(chosen), "data.split", expected=f"one of {known}", got=repr(options.split))
    text = "%s: reads %d of %d shards, its split %s of %s (data.split)"
    shown = printable(pattern), len(chosen), len(files), options.split, ", ".join(known)
    _log.warning(text, *shown)
    # the split is chosen here: folders inside these shards are not searched for it again
    return chosen, options._replace(split="train")


def _expanded(pattern: str, left: list[int]) -> Iterator[str]:
    """Expand ``a{1..3}`` and ``a{x,y}`` as a shell does, up to ``left`` names."""
    braces = re.search(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}", pattern)
    if braces is None:
        left[0] -= 1
        expected = f"at most {_MOST_NAMES} names in a pattern"
        require(left[0] >= 0, "data", expected=expected, got="more")
        yield pattern
        return
    first, last, names = braces.groups()
    for name in _numbers(first, last) if names is None else names.split(","):
        yield from _expanded(pattern[: braces.start()] + name + pattern[braces.end() :], left)


def _numbers(first: str, last: str) -> Iterator[str]:
    low, high = int(first), int(last)
    step = 1 if low <= high else -1
    return (f"{number:0{len(first)}}" for number in range(low, high + step, step))
